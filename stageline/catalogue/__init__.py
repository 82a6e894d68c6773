"""The catalogue of all pictures, in PostgreSQL or SQLite. May use: core, store, pipeline.

Only catalogue_service migrates it and writes to it (``writer``, from the line's outbox events); any process may read it
(``reader``).
"""

from stageline.catalogue.cursor import BadCursor
from stageline.catalogue.engine import open_engine
from stageline.catalogue.reader import Catalogue, Filter, Page

__all__ = ["BadCursor", "Catalogue", "Filter", "Page", "open_engine"]
