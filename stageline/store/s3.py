"""MinIO, and any other S3."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import SnowballObject
from minio.credentials.credentials import Credentials
from minio.credentials.providers import (
    AWSConfigProvider,
    ChainedProvider,
    EnvAWSProvider,
    IamAwsProvider,
    Provider,
    StaticProvider,
)
from minio.error import MinioException, S3Error

from stageline.core import clock
from stageline.core.errors import NotFound, SettingsError, Unavailable
from stageline.core.retrying import ROLE_REQUEST, STORE_REQUEST
from stageline.core.settings import Settings, is_host, redacted
from stageline.store.base import MAX_OBJECT_BYTES, ObjectStat, StoredObject, check_size

CONNECT_SECONDS = 3
ANSWER_SECONDS = 20
ROLE_SECONDS = 2
CONNECTIONS = 16
NO_KEYS = "no keys for the object store: set MINIO_ACCESS_KEY and MINIO_SECRET_KEY; the standard AWS chain has none"
ABSENT = ("NoSuchKey", "NoSuchObject")
CLOCK_SKEW = "RequestTimeTooSkewed"
MAX_APART = timedelta(minutes=15)  # that S3 lets two clocks be
WRONG_CLOCK = (
    "the object store (MINIO_ENDPOINT) takes no requests from here, as this machine's clock and its own differ by more "
    "than 15 minutes: set them right, as by NTP"
)


class _NoKeys(Exception):
    """Neither our settings nor the AWS chain have keys; the text says what is missing."""


class _AwsChain(ChainedProvider):
    def retrieve(self) -> Credentials:
        """Ask each in turn, and say what is missing where none has any."""
        try:
            return super().retrieve()
        except ValueError as error:
            raise _NoKeys(NO_KEYS) from error


class _IncompleteKeys(Provider):
    """One key of two, in files: the other may come."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def retrieve(self) -> Credentials:
        """Say what is missing."""
        raise _NoKeys(self._reason)


class S3Store:
    """Objects in a bucket."""

    def __init__(self, client: Minio, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._unpacks: bool | None = None  # whether it unpacks archives; known after the first

    @classmethod
    def from_settings(cls, settings: Settings) -> "S3Store":
        """Connect, when first used, to MINIO_ENDPOINT (``host:port``, or a URL whose scheme chooses TLS).

        Raises:
            SettingsError: MINIO_ENDPOINT is malformed, or one key of two is set and the other cannot come later.
        """
        server, secure = address(settings)
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS),
            maxsize=CONNECTIONS,
            retries=STORE_REQUEST,
        )
        credentials = _credentials(settings)
        try:
            client = Minio(
                endpoint=server,
                secure=secure,
                region=settings.s3_region,
                credentials=credentials,
                http_client=pool,
            )
        except ValueError as error:
            raise SettingsError(f"{_malformed(settings)} ({error})") from None
        return cls(client, settings.s3_bucket)

    def get(self, key: str, at_most: int = MAX_OBJECT_BYTES) -> bytes:
        """Read an object; see ObjectStore."""
        with self._reaching(key):
            answer = self._client.get_object(self._bucket, key)
            try:
                check_size(key, int(answer.headers.get("Content-Length", 0)), at_most)
                return bytes(answer.read())
            finally:
                answer.close()
                answer.release_conn()

    def stat(self, key: str) -> ObjectStat:
        """Tell an object's size, ETag and time; see ObjectStore."""
        with self._reaching(key):
            found = self._client.stat_object(self._bucket, key)
        modified = found.last_modified or datetime.fromtimestamp(0, UTC)
        return ObjectStat(found.size or 0, (found.etag or "").strip('"'), modified.astimezone(UTC))

    def put(self, item: StoredObject) -> None:
        """Write an object; see ObjectStore."""
        with self._reaching(item.key):
            made = self._client.put_object(
                self._bucket, item.key, io.BytesIO(item.data), len(item.data), content_type=item.content_type
            )
        _refuse_without_etag(made.etag)

    def put_all(self, items: Sequence[StoredObject]) -> None:
        """Write several: in one request where the store unpacks archives, as MinIO does, else one by one."""
        if len(items) > 1 and self._unpacks is not False:
            with self._reaching(items[0].key):
                archive = self._client.upload_snowball_objects(
                    self._bucket, [SnowballObject(i.key, data=io.BytesIO(i.data), length=len(i.data)) for i in items]
                )
                _refuse_without_etag(archive.etag)
                if self._unpacks is None:
                    self._unpacks = not self._kept(archive.object_name)
            if self._unpacks:
                return
        for item in items:
            self.put(item)

    def _kept(self, archive: str) -> bool:
        """Whether the store kept an archive as it came, instead of unpacking it; then it goes."""
        try:
            self._client.stat_object(self._bucket, archive)
        except S3Error as error:
            if error.code in ABSENT:
                return False
            raise
        self._client.remove_object(self._bucket, archive)
        return True

    def delete(self, key: str) -> None:
        """Remove an object; see ObjectStore."""
        with self._reaching(key):
            self._client.remove_object(self._bucket, key)

    def keys(self, prefix: str) -> Iterator[str]:
        """List keys; see ObjectStore."""
        with self._reaching(prefix):
            for found in self._client.list_objects(self._bucket, prefix, recursive=True):
                yield str(found.object_name)

    def check(self) -> None:
        """Make sure that the bucket is there, making it if need be; see ObjectStore."""
        with self._reaching(self._bucket):
            if not self._client.bucket_exists(self._bucket):
                self._make_bucket()

    def _make_bucket(self) -> None:
        try:
            self._client.make_bucket(self._bucket)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

    @contextmanager
    def _reaching(self, key: str) -> Iterator[None]:
        """Turn what minio-py raises into NotFound or Unavailable."""
        try:
            yield
        except S3Error as error:
            if error.code in ABSENT:
                raise NotFound(f"{key} is not in the bucket {self._bucket}") from None
            if _is_clock_skew(error):
                raise Unavailable(WRONG_CLOCK) from error
            raise Unavailable(f"the object store refused {key} (MINIO_*): {error.code}: {error.message}") from error
        except _NoKeys as error:
            raise Unavailable(str(error)) from None
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError, SyntaxError) as error:
            # A SyntaxError is one of XML: something between us and the store answered, as a proxy's page does.
            raise Unavailable(f"the object store cannot be reached (MINIO_ENDPOINT): {error}") from error


def _refuse_without_etag(etag: str | None) -> None:
    """Take nothing for stored that was not answered as a store does.

    Raises:
        Unavailable: the answer has no ETag.
    """
    if not etag:
        raise Unavailable("what answers at MINIO_ENDPOINT is no object store: it took a write and told no ETag")


def _is_clock_skew(error: S3Error) -> bool:
    """Whether a request was refused because of when it was signed; an answer to HEAD says so by its date alone."""
    if error.code == CLOCK_SKEW or error.response.status != HTTPStatus.FORBIDDEN:
        return error.code == CLOCK_SKEW
    try:
        return abs(clock.machine() - parsedate_to_datetime(error.response.headers.get("Date", ""))) > MAX_APART
    except (ValueError, TypeError):  # it tells no date, or no zone
        return False


def address(settings: Settings) -> tuple[str, bool]:
    """``host:port`` of MINIO_ENDPOINT, and whether to speak TLS.

    Raises:
        SettingsError: it is malformed.
    """
    given = settings.minio_endpoint or ""
    url = urlsplit(given if "://" in given else f"http://{given}")
    if not is_host(url.hostname) or url.path not in ("", "/") or url.scheme not in ("http", "https"):
        raise SettingsError(_malformed(settings))
    return url.netloc, url.scheme == "https"


def _malformed(settings: Settings) -> str:
    return f"MINIO_ENDPOINT={redacted(settings.minio_endpoint or '')!r}: give host:port, or http(s)://host:port"


def _credentials(settings: Settings) -> Provider:
    """The MINIO_* keys, else the standard AWS chain: environment, configuration file, the pod's or machine's role."""
    access, secret = settings.minio_access_key, settings.minio_secret_key
    if access and secret:
        return StaticProvider(access, secret)
    if access or secret:
        there, lacking = ("ACCESS", "SECRET") if access else ("SECRET", "ACCESS")
        reason = f"MINIO_{there}_KEY is set and MINIO_{lacking}_KEY is not: set both, or none for the AWS chain"
        if settings.secrets_dir is None:
            raise SettingsError(reason)
        return _IncompleteKeys(reason)
    roles = urllib3.PoolManager(  # where the machine's role is asked for, packets may be dropped rather than refused
        timeout=urllib3.Timeout(connect=ROLE_SECONDS, read=ROLE_SECONDS), retries=ROLE_REQUEST
    )
    return _AwsChain([EnvAWSProvider(), AWSConfigProvider(), IamAwsProvider(http_client=roles)])
