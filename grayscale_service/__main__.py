"""Run the grayscale stage: ``python -m grayscale_service``."""

from stageline.worker.main import main

main("grayscale")
