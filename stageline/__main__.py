"""``python -m stageline`` is ``stageline``."""

from stageline.cli import main

main()
