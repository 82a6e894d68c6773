"""Whether a finding is named, or a candidate: looked at and not named. What is there is named.

The column has a constant default. So neither PostgreSQL nor SQLite writes the table's rows anew, and a writer of the
version before, which does not know the column, goes on writing what is named.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("prediction_results", sa.Column("named", sa.Boolean(), nullable=False, server_default=sa.true()))
