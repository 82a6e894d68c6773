"""Run the catalogue's writer: ``python -m catalogue_service``."""

from catalogue_service.service import main

main()
