"""The catalogue: what is known of every picture, in PostgreSQL or, embedded, in SQLite.

Only catalogue_service writes to it (``writer``, from the line's outcomes) and migrates it; everybody may read it
(``reader``).
"""

from stageline.catalogue.cursor import BadCursor
from stageline.catalogue.engine import open_engine
from stageline.catalogue.reader import Catalogue, Filter, Page

__all__ = ["BadCursor", "Catalogue", "Filter", "Page", "open_engine"]
