"""Run the detect stage: ``python -m detect_service``."""

from stageline.service import main

main("detect")
