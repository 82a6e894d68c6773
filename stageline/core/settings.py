"""All settings: read from the environment here only, and validated at start."""

import contextlib
import os
import re
import socket
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as NotASetting
from redis.connection import parse_url

from stageline.core.errors import SettingsError

MEBIBYTE = 1024 * 1024
MODEL_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
SECRETS_DIR = "SECRETS_DIR"
PASSWORDS = {"redis_password": "redis_url", "cache_password": "cache_url", "database_password": "database_url"}


class Settings(BaseSettings):
    """The settings of every service; each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    # A folder whose files are settings too, each named as its setting, like a mounted Secret; the environment wins.
    secrets_dir: Path | None = None

    # Servers. Those that are unset here are embedded: see stageline.local.up.
    redis_url: str = Field("redis://127.0.0.1:6379/0", pattern=r"^(rediss?|unix)://", repr=False)
    redis_password: str | None = Field(None, repr=False)
    minio_endpoint: str | None = None
    minio_access_key: str | None = None
    minio_secret_key: str | None = Field(None, repr=False)
    minio_root_user: str | None = None
    minio_root_password: str | None = Field(None, repr=False)
    minio_console_url: str | None = Field(None, pattern=r"^https?://[^\s]+$")
    s3_bucket: str = Field("images", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    models_bucket: str = Field("models", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    s3_region: str | None = Field(None, validation_alias=AliasChoices("s3_region", "aws_region"))
    database_url: str | None = Field(None, pattern=r"^(postgres(ql)?(\+psycopg2)?|sqlite)://", repr=False)
    database_password: str | None = Field(None, repr=False)
    cache_url: str | None = Field(None, pattern=r"^(rediss?|unix)://", repr=False)
    cache_password: str | None = Field(None, repr=False)
    stageline_data: Path = Path("stageline-data")

    # The API.
    port: int = Field(30005, ge=1, le=65535)
    host: str = "0.0.0.0"  # noqa: S104 - in a container the API listens on all addresses
    door_threads: int = Field(8, ge=1, le=256)
    max_upload_bytes: int = Field(25 * MEBIBYTE, ge=1)
    max_image_pixels: int = Field(50_000_000, ge=1)
    max_queue_size: int = Field(1000, ge=1)
    status_ttl: int = Field(3600, ge=1)

    # Retention.
    cache_ttl: int = Field(3600, ge=1)
    retention_days: int = Field(0, ge=0, le=36_500)

    # The stages.
    resize_scale: float = Field(0.25, gt=0, le=1)
    resize_min_side: int = Field(416, ge=0)
    detect_on: Literal["grayscale", "resized", "original"] = "grayscale"
    detect_model: str = Field("yolox-nano", pattern=MODEL_NAME)
    detect_min_score: float = Field(0.3, ge=0, le=1)
    face_max_side: int = Field(1280, ge=12)
    face_min_size: int = Field(40, ge=12)
    classify_model: str = Field("resnet18-cifar10", pattern=MODEL_NAME)
    classify_min_confidence: float = Field(0.94, ge=0, le=1)
    classify_trusted_score: float = Field(0.5, ge=0, le=1)
    blur_classes: Annotated[frozenset[str], NoDecode] = frozenset({"face", "car"})
    blur_heads: bool = False
    jpeg_quality: int = Field(95, ge=1, le=100)

    # Models.
    models_dir: Path | None = None
    stageline_model_mirror: str | None = None
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")
    inference_precision: Literal["auto", "float32"] = "auto"

    # Workers.
    worker_id: str = Field(default_factory=socket.gethostname)
    num_workers: int = Field(1, ge=1, le=256)
    inference_threads: int = Field(1, ge=1)
    prefetch: int = Field(16, ge=1, le=256)
    max_attempts: int = Field(3, ge=2)
    retry_base_seconds: float = Field(1.0, gt=0)
    retry_cap_seconds: float = Field(60.0, gt=0)
    lease_seconds: float = Field(15.0, ge=1)
    work_timeout: float = Field(120.0, gt=0)
    large_pixels: int = Field(8_000_000, ge=1)
    shutdown_seconds: float = Field(20.0, gt=0)
    health_port: int = Field(8080, ge=0, le=65535)

    # Logs.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"

    @model_validator(mode="before")
    @classmethod
    def _with_passwords(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Put each password into its URL, so that the URL need not be secret."""
        for password, url in PASSWORDS.items():
            if values.get(password) and "://" in str(values.get(url)):
                with contextlib.suppress(ValueError):  # the validation of the URL reports it by its own name
                    values[url] = with_password(str(values[url]), values[password])
        return values

    @field_validator("blur_classes", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Accept a comma-separated list: ``BLUR_CLASSES=face,car``."""
        if isinstance(value, str):
            return frozenset(word.strip().casefold() for word in value.split(",") if word.strip())
        return value

    @field_validator("cache_url", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """Accept ``CACHE_URL=off``: no cache, not even the one that ``stageline up`` would start."""
        return None if isinstance(value, str) and value.strip().casefold() == "off" else value

    @field_validator("redis_url", "cache_url")
    @classmethod
    def _can_be_dialled(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            found = parse_url(value)  # type: ignore[no-untyped-call]
        except ValueError:  # its text may contain a part of the password
            found = {}
        if not (found.get("path") or is_host(found.get("host"))):
            raise ValueError("give redis://[user:password@]host[:port][/database], rediss://… or unix:///path")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def models_folder(self) -> Path:
        """The folder that holds installed models as ``<name>/<version>/``."""
        return self.models_dir or self.stageline_data / "models"


@lru_cache(maxsize=1)
def load() -> Settings:
    """Read the environment once per process.

    Raises:
        SettingsError: a variable is malformed; the text names the variable, its value and the allowed values.
    """
    secrets = secrets_named()
    try:
        return Settings(_secrets_dir=secrets if secrets and secrets.is_dir() else None)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = str(problem["loc"][0]).upper() if problem["loc"] else "settings"
            lines.append(f"{name}={_shown(name)}: {problem['msg']}")
        raise SettingsError("; ".join(lines)) from None
    except NotASetting as error:  # such as a file that is not text; the error names the file, not its content
        raise SettingsError(f"{SECRETS_DIR}={secrets}: {error}") from None


def secrets_named() -> Path | None:
    """Return the folder that SECRETS_DIR names; it may not exist yet, see `stageline.core.credentials`."""
    named = os.environ.get(SECRETS_DIR)
    return Path(named) if named else None


def with_password(url: str, password: str) -> str:
    """Return the URL with the password in it, unless it has one, or is the URL of a file."""
    parts = urlsplit(url)
    if not parts.netloc and parts.scheme != "unix":
        return url
    if "@" in parts.netloc and ":" in parts.netloc.rpartition("@")[0]:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()


def redacted(address: str) -> str:
    """Return an address without the user and the password."""
    return re.sub(r"^([a-z]+://)?.*@", r"\1…@", address)


def is_host(name: str | None) -> bool:
    """Whether the text could be a host's name or address."""
    return bool(name and re.fullmatch(r"[^\s/@?#]+", name))


def _shown(name: str) -> str:
    """Return a variable's value without its secret parts."""
    if name not in os.environ:
        return f"(a file of {SECRETS_DIR})"
    return "…" if "SECRET" in name or "PASSWORD" in name else repr(redacted(os.environ.get(name, "")))
