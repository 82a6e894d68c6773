"""The form of a picture's name by which it is looked up, and whether the name is a guess.

The index of names as they came goes: they may be longer than PostgreSQL indexes. The rows that are there get their keys
after this step, some at a time (see stageline.catalogue.name_keys), so that nobody waits for all of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
LACKS = sa.text("filename_key IS NULL AND filename <> ''")


def upgrade() -> None:
    """Add the columns, and exchange the index."""
    op.add_column("image_info", sa.Column("filename_key", TEXT))
    op.add_column("image_info", sa.Column("filename_guessed", sa.Boolean()))
    op.create_index("ix_image_info_filename_key", "image_info", ["filename_key", "uploaded_at"])
    op.create_index("ix_image_info_lacks_key", "image_info", ["image_key"], postgresql_where=LACKS, sqlite_where=LACKS)
    op.drop_index("ix_image_info_filename", "image_info")
