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
    """Neither the settings nor the AWS chain have keys; the text names what is missing."""


class _AwsChain(ChainedProvider):
    def retrieve(self) -> Credentials:
        """Return the credentials of the first provider that has any; see `Provider`."""
        try:
            return super().retrieve()
        except ValueError as error:
            raise _NoKeys(NO_KEYS) from error


class _IncompleteKeys(Provider):
    """One of two keys is set, from files: the other may appear later."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def retrieve(self) -> Credentials:
        """Raise, naming the missing key."""
        raise _NoKeys(self._reason)


class S3Store:
    """Objects in a bucket."""

    def __init__(self, client: Minio, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self._unpacks: bool | None = None  # whether the store unpacks archives; known after the first

    @classmethod
    def from_settings(cls, settings: Settings) -> "S3Store":
        """Return a store at MINIO_ENDPOINT (``host:port``, or a URL whose scheme chooses TLS); it connects when used.

        Raises:
            SettingsError: MINIO_ENDPOINT is malformed, or one of two keys is set and the other cannot appear later.
        """
        server, secure = address(settings)
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS),
            maxsize=CONNECTIONS,
            retries=STORE_REQUEST,
        )
        credentials = _credentials(settings)
        try:
            region = settings.s3_region
            client = Minio(endpoint=server, secure=secure, region=region, credentials=credentials, http_client=pool)
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
        """Return an object's metadata; see ObjectStore."""
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
        """Write several objects: in one request if the store unpacks archives (MinIO does), else one by one."""
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
        """Return whether the store kept an archive instead of unpacking it; if so, remove the archive."""
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
        """Create the bucket if it is missing; see ObjectStore."""
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
        """Turn minio-py's errors into NotFound or Unavailable."""
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
            # A SyntaxError is one of XML: the answer is no store's, for example a proxy's page.
            raise Unavailable(f"the object store cannot be reached (MINIO_ENDPOINT): {error}") from error


def _refuse_without_etag(etag: str | None) -> None:
    """Check that the answer to a write is that of an object store.

    Raises:
        Unavailable: the answer has no ETag.
    """
    if not etag:
        raise Unavailable("what answers at MINIO_ENDPOINT is no object store: it took a write and told no ETag")


def _is_clock_skew(error: S3Error) -> bool:
    """Return whether a request was refused because of its time; an answer to HEAD shows that by its date alone."""
    if error.code == CLOCK_SKEW or error.response.status != HTTPStatus.FORBIDDEN:
        return error.code == CLOCK_SKEW
    try:
        return abs(clock.machine_now() - parsedate_to_datetime(error.response.headers.get("Date", ""))) > MAX_APART
    except (ValueError, TypeError):  # no date, or no time zone
        return False


def address(settings: Settings) -> tuple[str, bool]:
    """Return ``host:port`` of MINIO_ENDPOINT, and whether to use TLS.

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
    """Return the MINIO_* keys, else the AWS chain: environment, configuration file, role of the pod or machine."""
    access, secret = settings.minio_access_key, settings.minio_secret_key
    if access and secret:
        return StaticProvider(access, secret)
    if access or secret:
        there, lacking = ("ACCESS", "SECRET") if access else ("SECRET", "ACCESS")
        reason = f"MINIO_{there}_KEY is set and MINIO_{lacking}_KEY is not: set both, or none for the AWS chain"
        if settings.secrets_dir is None:
            raise SettingsError(reason)
        return _IncompleteKeys(reason)
    roles = urllib3.PoolManager(  # short timeouts: a network without the role's service may drop packets
        timeout=urllib3.Timeout(connect=ROLE_SECONDS, read=ROLE_SECONDS), retries=ROLE_REQUEST
    )
    return _AwsChain([EnvAWSProvider(), AWSConfigProvider(), IamAwsProvider(http_client=roles)])
