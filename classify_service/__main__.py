"""Run the classify stage: ``python -m classify_service``."""

from stageline.worker.main import main

main("classify")
