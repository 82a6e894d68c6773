"""The catalogue's tables. The migrations create them; a test compares the two."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

METADATA = MetaData()
EMBEDDING_SIZE = 512  # numbers, each of 4 bytes
TEXT = Text().with_variant(Text(collation="C"), "postgresql")  # ordered by bytes, like SQLite and the bucket
LIST = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
LACKS_KEY = text("filename_key IS NULL AND filename <> ''")  # written by an older version: see name_keys
BIG = BigInteger().with_variant(Integer(), "sqlite")


class UtcTime(TypeDecorator[datetime]):
    """A time in UTC: refuses times without a zone, and always returns one with a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
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

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's
        """Read as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


image_info = Table(
    "image_info",
    METADATA,
    Column("image_key", TEXT, primary_key=True),  # the picture's id
    Column("filename", TEXT),  # as uploaded, up to 4 KiB: too long for an index
    Column("filename_key", TEXT),  # for lookups by name: stageline.pipeline.filenames.lookup_key
    Column("filename_guessed", Boolean),  # whether its encoding was a guess; null: no
    Column("kind", TEXT),  # face or object
    Column("status", TEXT, nullable=False),
    Column("reason", TEXT),
    Column("failed_stage", TEXT),
    Column("width", Integer),
    Column("height", Integer),
    Column("bytes", BIG),
    Column("sha256", TEXT),
    Column("original_path", TEXT),
    Column("batch_id", TEXT),
    Column("run", Integer, nullable=False),
    Column("rank", Integer, nullable=False),  # how far in its run: a row only moves forward by (run, rank)
    Column("uploaded_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("completed_at", UtcTime),
    Column("expires_at", UtcTime),
    # Pages are newest first: these are read backwards.
    Index("ix_image_info_newest", "uploaded_at", "image_key"),
    Index("ix_image_info_status", "status", "uploaded_at", "image_key"),
    Index("ix_image_info_status_kind", "status", "kind", "uploaded_at", "image_key"),
    Index("ix_image_info_kind", "kind", "uploaded_at", "image_key"),
    Index("ix_image_info_filename_key", "filename_key", "uploaded_at"),
    Index("ix_image_info_lacks_key", "image_key", postgresql_where=LACKS_KEY, sqlite_where=LACKS_KEY),  # mostly empty
    Index("ix_image_info_sha256", "sha256"),
    Index("ix_image_info_batch_id", "batch_id"),
    Index("ix_image_info_expires_at", "expires_at"),
)

prediction_results = Table(
    "prediction_results",
    METADATA,
    Column("image_key", TEXT, primary_key=True),
    Column("task", TEXT, primary_key=True),  # object-detection, image-classification or imagenet
    Column("position", Integer, primary_key=True),  # as in the results; of candidates and guesses: -1, -2, ...
    Column("category", TEXT, nullable=False),
    Column("confidence", Float(53), nullable=False),
    Column("hostname", TEXT),  # the WORKER_ID of the worker that found it
    Column("time", UtcTime, nullable=False),
    Column("model", TEXT),
    Column("version", TEXT),
    Column("model_sha256", TEXT),
    Column("box", LIST),  # null: of the whole picture
    Column("uploaded_at", UtcTime, nullable=False),  # the picture's, for paging by category
    Column("named", Boolean, nullable=False, server_default=true()),  # false: a candidate or a guess
    Index(
        "ix_prediction_results_named",
        "category",
        "uploaded_at",
        "image_key",
        postgresql_where=text("named"),
        sqlite_where=text("named = 1"),  # as SQLAlchemy writes `named` for each
    ),
)

faces = Table(
    "faces",
    METADATA,
    Column("image_key", TEXT, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("score", Float(53)),
    Column("box", LIST),
    Column("landmarks", LIST),
    Column("model", TEXT),
    Column("version", TEXT),
    Column("embedding", LargeBinary),  # 512 numbers, float32, little-endian
    Column("embedding_model", TEXT),  # name@version
)

tasks = Table(
    "tasks",
    METADATA,
    Column("image_key", TEXT, primary_key=True),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("from_stage", TEXT),
    Column("status", TEXT),
    Column("created_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("reason", TEXT),
)

task_history = Table(
    "task_history",
    METADATA,
    Column("image_key", TEXT, primary_key=True),
    Column("position", Integer, primary_key=True),  # in order of time
    Column("run", Integer, nullable=False),
    Column("stage", TEXT, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", TEXT),
    Column("worker", TEXT),
    Column("started", UtcTime),
    Column("finished", UtcTime),
    Column("ms", Float(53)),
    Column("error", TEXT),
    Column("keys", LIST),
)

deleted_images = Table(
    "deleted_images",
    METADATA,
    Column("image_key", TEXT, primary_key=True),
    Column("deleted_at", UtcTime, nullable=False),
    Index("ix_deleted_images_deleted_at", "deleted_at"),
)

OF_A_PICTURE = (image_info, prediction_results, faces, tasks, task_history)  # the tables with the rows of a picture
