"""Run the classify stage: ``python -m classify_service``."""

from stageline.service import main

main("classify")
