"""The catalogue's tables. The migrations create them; a test compares the two."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

METADATA = sa.MetaData()
EMBEDDING_SIZE = 512  # numbers, each of 4 bytes
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")  # ordered by bytes, like SQLite and the bucket
LIST = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
LACKS_KEY = sa.text("filename_key IS NULL AND filename <> ''")  # written by an older version: see name_keys
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC: refuses times without a zone, and always returns one with a zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Store in UTC.

        Raises:
            ValueError: the time has no zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: give an aware datetime, as in datetime.now(UTC)")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's
        """Read as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


image_info = sa.Table(
    "image_info",
    METADATA,
    sa.Column("image_key", TEXT, primary_key=True),  # the picture's id
    sa.Column("filename", TEXT),  # as uploaded, up to 4 KiB: too long for an index
    sa.Column("filename_key", TEXT),  # for lookups by name: stageline.pipeline.filenames.lookup_key
    sa.Column("filename_guessed", sa.Boolean),  # whether its encoding was a guess; null: no
    sa.Column("kind", TEXT),  # face or object
    sa.Column("status", TEXT, nullable=False),
    sa.Column("reason", TEXT),
    sa.Column("failed_stage", TEXT),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("bytes", BIG),
    sa.Column("sha256", TEXT),
    sa.Column("original_path", TEXT),
    sa.Column("batch_id", TEXT),
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),  # how far in its run: a row only moves forward by (run, rank)
    sa.Column("uploaded_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.Column("completed_at", UtcTime),
    sa.Column("expires_at", UtcTime),
    # Pages are newest first: these are read backwards.
    sa.Index("ix_image_info_newest", "uploaded_at", "image_key"),
    sa.Index("ix_image_info_status", "status", "uploaded_at", "image_key"),
    sa.Index("ix_image_info_status_kind", "status", "kind", "uploaded_at", "image_key"),
    sa.Index("ix_image_info_kind", "kind", "uploaded_at", "image_key"),
    sa.Index("ix_image_info_filename_key", "filename_key", "uploaded_at"),
    sa.Index(
        "ix_image_info_lacks_key", "image_key", postgresql_where=LACKS_KEY, sqlite_where=LACKS_KEY
    ),  # mostly empty
    sa.Index("ix_image_info_sha256", "sha256"),
    sa.Index("ix_image_info_batch_id", "batch_id"),
    sa.Index("ix_image_info_expires_at", "expires_at"),
)

prediction_results = sa.Table(
    "prediction_results",
    METADATA,
    sa.Column("image_key", TEXT, primary_key=True),
    sa.Column("task", TEXT, primary_key=True),  # object-detection, image-classification or imagenet
    sa.Column("position", sa.Integer, primary_key=True),  # as in the results; of candidates and guesses: -1, -2, ...
    sa.Column("category", TEXT, nullable=False),
    sa.Column("confidence", sa.Float(53), nullable=False),
    sa.Column("hostname", TEXT),  # the WORKER_ID of the worker that found it
    sa.Column("time", UtcTime, nullable=False),
    sa.Column("model", TEXT),
    sa.Column("version", TEXT),
    sa.Column("model_sha256", TEXT),
    sa.Column("box", LIST),  # null: of the whole picture
    sa.Column("uploaded_at", UtcTime, nullable=False),  # the picture's, for paging by category
    sa.Column("named", sa.Boolean, nullable=False, server_default=sa.true()),  # false: a candidate or a guess
    sa.Index(
        "ix_prediction_results_named",
        "category",
        "uploaded_at",
        "image_key",
        postgresql_where=sa.text("named"),
        sqlite_where=sa.text("named = 1"),  # as SQLAlchemy writes `named` for each
    ),
)

faces = sa.Table(
    "faces",
    METADATA,
    sa.Column("image_key", TEXT, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("score", sa.Float(53)),
    sa.Column("box", LIST),
    sa.Column("landmarks", LIST),
    sa.Column("model", TEXT),
    sa.Column("version", TEXT),
    sa.Column("embedding", sa.LargeBinary),  # 512 numbers, float32, little-endian
    sa.Column("embedding_model", TEXT),  # name@version
)

tasks = sa.Table(
    "tasks",
    METADATA,
    sa.Column("image_key", TEXT, primary_key=True),
    sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("from_stage", TEXT),
    sa.Column("status", TEXT),
    sa.Column("created_at", UtcTime),
    sa.Column("finished_at", UtcTime),
    sa.Column("reason", TEXT),
)

task_history = sa.Table(
    "task_history",
    METADATA,
    sa.Column("image_key", TEXT, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),  # in order of time
    sa.Column("run", sa.Integer, nullable=False),
    sa.Column("stage", TEXT, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("state", TEXT),
    sa.Column("worker", TEXT),
    sa.Column("started", UtcTime),
    sa.Column("finished", UtcTime),
    sa.Column("ms", sa.Float(53)),
    sa.Column("error", TEXT),
    sa.Column("keys", LIST),
)

deleted_images = sa.Table(
    "deleted_images",
    METADATA,
    sa.Column("image_key", TEXT, primary_key=True),
    sa.Column("deleted_at", UtcTime, nullable=False),
    sa.Index("ix_deleted_images_deleted_at", "deleted_at"),
)

OF_A_PICTURE = (image_info, prediction_results, faces, tasks, task_history)  # the tables with the rows of a picture
