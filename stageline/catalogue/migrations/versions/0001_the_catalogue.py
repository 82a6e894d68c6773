"""The catalogue's first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
LIST = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables and their indexes."""
    _pictures()
    _findings()
    _tasks()
    op.create_table(
        "deleted_images",
        sa.Column("image_key", TEXT, primary_key=True),
        sa.Column("deleted_at", TIME, nullable=False),
    )
    op.create_index("ix_deleted_images_deleted_at", "deleted_images", ["deleted_at"])


def _pictures() -> None:
    op.create_table(
        "image_info",
        sa.Column("image_key", TEXT, primary_key=True),
        sa.Column("filename", TEXT),
        sa.Column("kind", TEXT),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("reason", TEXT),
        sa.Column("failed_stage", TEXT),
        sa.Column("width", sa.Integer()),
        sa.Column("height", sa.Integer()),
        sa.Column("bytes", BIG),
        sa.Column("sha256", TEXT),
        sa.Column("original_path", TEXT),
        sa.Column("batch_id", TEXT),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("uploaded_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("completed_at", TIME),
        sa.Column("expires_at", TIME),
    )
    op.create_index("ix_image_info_newest", "image_info", ["uploaded_at", "image_key"])
    op.create_index("ix_image_info_status", "image_info", ["status", "uploaded_at", "image_key"])
    op.create_index("ix_image_info_kind", "image_info", ["kind", "uploaded_at", "image_key"])
    op.create_index("ix_image_info_filename", "image_info", ["filename", "uploaded_at"])
    for column in ("sha256", "batch_id", "expires_at"):
        op.create_index(f"ix_image_info_{column}", "image_info", [column])


def _findings() -> None:
    op.create_table(
        "prediction_results",
        sa.Column("image_key", TEXT, primary_key=True),
        sa.Column("task", TEXT, primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("category", TEXT, nullable=False),
        sa.Column("confidence", sa.Float(53), nullable=False),
        sa.Column("hostname", TEXT),
        sa.Column("time", TIME, nullable=False),
        sa.Column("model", TEXT),
        sa.Column("version", TEXT),
        sa.Column("model_sha256", TEXT),
        sa.Column("box", LIST),
        sa.Column("uploaded_at", TIME, nullable=False),
    )
    op.create_index("ix_prediction_results_category", "prediction_results", ["category", "uploaded_at", "image_key"])
    op.create_table(
        "faces",
        sa.Column("image_key", TEXT, primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("score", sa.Float(53)),
        sa.Column("box", LIST),
        sa.Column("landmarks", LIST),
        sa.Column("model", TEXT),
        sa.Column("version", TEXT),
        sa.Column("embedding", sa.LargeBinary()),
        sa.Column("embedding_model", TEXT),
    )


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("image_key", TEXT, primary_key=True),
        sa.Column("run", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("from_stage", TEXT),
        sa.Column("status", TEXT),
        sa.Column("created_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("reason", TEXT),
    )
    op.create_table(
        "task_history",
        sa.Column("image_key", TEXT, primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("stage", TEXT, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", TEXT),
        sa.Column("worker", TEXT),
        sa.Column("started", TIME),
        sa.Column("finished", TIME),
        sa.Column("ms", sa.Float(53)),
        sa.Column("error", TEXT),
        sa.Column("keys", LIST),
    )
