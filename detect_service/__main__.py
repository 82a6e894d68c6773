"""Run the detect stage: ``python -m detect_service``."""

from stageline.worker.main import main

main("detect")
