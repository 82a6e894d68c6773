"""The index of categories holds what is named, and no candidates, of which there may be many more.

A step of its own: while PostgreSQL makes an index the table can be read, but not in a step that changed its columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Exchange the index."""
    op.create_index(
        "ix_prediction_results_named", "prediction_results", ["category", "uploaded_at", "image_key"],
        postgresql_where=sa.text("named"), sqlite_where=sa.text("named = 1"),
    )  # fmt: skip
    op.drop_index("ix_prediction_results_category", "prediction_results")
