"""Run the resize stage: ``python -m resize_service``."""

from stageline.worker.main import main

main("resize")
