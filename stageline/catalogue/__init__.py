"""The catalogue of all pictures, in PostgreSQL or SQLite. May use: core, store, pipeline.

Only catalogue_service writes to it (``writer``, from the line's outcomes) and migrates it; everybody may read it
(``reader``).
"""

from stageline.catalogue.cursor import BadCursor
from stageline.catalogue.engine import open_engine
from stageline.catalogue.reader import Catalogue, Filter, Page

__all__ = ["BadCursor", "Catalogue", "Filter", "Page", "open_engine"]
