"""The index of categories holds what is named, and no candidates, of which there may be many more.

PostgreSQL also counts how often each category is named: what is seldom named may be a candidate everywhere. Where it
expects too many, a page that filters by a category and a status walks the pictures in vain, for seconds.

A step of its own: while PostgreSQL makes an index the table can be read, but not in a step that changed its columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Exchange the index; have the pairs of category and named counted."""
    op.create_index(
        "ix_prediction_results_named", "prediction_results", ["category", "uploaded_at", "image_key"],
        postgresql_where=sa.text("named"), sqlite_where=sa.text("named = 1"),
    )  # fmt: skip
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE STATISTICS prediction_results_named (mcv) ON category, named FROM prediction_results")
        op.execute("ANALYZE prediction_results")
    op.drop_index("ix_prediction_results_category", "prediction_results")
