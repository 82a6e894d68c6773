"""Run the grayscale stage: ``python -m grayscale_service``."""

from stageline.service import main

main("grayscale")
