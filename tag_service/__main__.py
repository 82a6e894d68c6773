"""Run the tag stage: ``python -m tag_service``."""

from stageline.service import main

main("tag")
