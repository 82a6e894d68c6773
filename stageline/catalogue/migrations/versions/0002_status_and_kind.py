"""An index for pages of a status and a kind."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make it."""
    op.create_index("ix_image_info_status_kind", "image_info", ["status", "kind", "uploaded_at", "image_key"])
