"""Run the resize stage: ``python -m resize_service``."""

from stageline.service import main

main("resize")
