"""ImageNet's five best of a picture are guesses, and not what it is named: their rows become those of candidates.

`named` is false, and the position counts down from -1, as the code writes them from now on and `stageline catalogue
rebuild` makes them from the bucket. What a writer of the version before adds after this step is named until the picture
is written again, or until a rebuild.
"""

import sqlalchemy as sa
from alembic import op

from stageline.catalogue.writer import LOCK

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Change the rows. A writer waits for it: one that changed the same rows in another order could end it."""
    if op.get_bind().dialect.name == "postgresql":
        op.get_bind().execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    op.execute(
        "UPDATE prediction_results SET named = false, position = -1 - position"
        " WHERE task = 'imagenet' AND position >= 0"
    )
