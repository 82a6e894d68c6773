"""Run the tag stage: ``python -m tag_service``."""

from stageline.worker.main import main

main("tag")
