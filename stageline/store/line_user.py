"""Creates the line's user on MinIO, with the credentials of MinIO's root.

The line then uses MINIO_ACCESS_KEY and MINIO_SECRET_KEY, whose rights are limited to its operations on its two buckets.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import urllib3
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException

from stageline.core.errors import SettingsError, Unavailable
from stageline.core.settings import Settings
from stageline.store.s3 import S3Store, address

POLICY_PREFIX = "line-"
CONNECT_SECONDS = 3
ANSWER_SECONDS = 20
ON_BUCKETS = ("s3:CreateBucket", "s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
ON_OBJECTS = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
ABSENT = ("XMinioAdminNoSuchUser", "XMinioAdminNoSuchPolicy")
NEEDED = ("minio_root_user", "minio_root_password", "minio_access_key", "minio_secret_key")


class LineUser:
    """The line's user on MinIO."""

    def __init__(self, found: Settings) -> None:
        """Take the settings; connect at the first request.

        Raises:
            SettingsError: MINIO_ENDPOINT is missing or malformed.
        """
        if not found.minio_endpoint:
            raise SettingsError("MINIO_ENDPOINT is not set: give the host:port of the MinIO that needs the line's user")
        address(found)
        self._settings = found
        self._buckets = list(dict.fromkeys((found.s3_bucket, found.models_bucket)))
        self._policy_name = f"{POLICY_PREFIX}{found.minio_access_key}"

    @property
    def is_root(self) -> bool:
        """Whether the line uses MinIO's root user, so that no other user is needed."""
        return self._settings.minio_access_key is not None and (
            self._settings.minio_access_key == self._settings.minio_root_user
        )

    def ensure(self) -> bool:
        """Create the user, its policy and its buckets, unless all are correct; return whether anything was changed.

        Raises:
            Unavailable: MinIO does not answer, MinIO refuses, or credentials are missing; the text says which.
        """
        missing = [name.upper() for name in NEEDED if not getattr(self._settings, name)]
        if missing:
            raise Unavailable(f"the line's user on MinIO cannot be made: {' and '.join(missing)} not set")
        with_root = _open(self._settings)
        if self._is_right(with_root):
            return False
        _request(lambda: with_root.policy_add(self._policy_name, policy=policy(self._buckets)))
        _request(lambda: with_root.user_add(str(self._settings.minio_access_key), str(self._settings.minio_secret_key)))
        _request(lambda: with_root.policy_set(self._policy_name, user=str(self._settings.minio_access_key)))
        self._check_buckets()
        self._remove_former(with_root)
        return True

    def _remove_former(self, with_root: MinioAdmin) -> None:
        """Remove the line's former users: those with other keys and exactly its rights."""
        for name, info in (_request(with_root.user_list) or {}).items():
            theirs = str(info.get("policyName", ""))
            if name == self._settings.minio_access_key or not theirs.startswith(POLICY_PREFIX):
                continue
            rights = _request(partial(with_root.policy_info, theirs))
            if rights is not None and _sorted(rights) == _sorted(policy(self._buckets)):
                _request(partial(with_root.user_remove, name))
                _request(partial(with_root.policy_remove, theirs))

    def _check_buckets(self) -> None:
        """Check each bucket with the line's keys; create those that are missing."""
        for bucket in self._buckets:
            S3Store.from_settings(self._settings.model_copy(update={"s3_bucket": bucket})).check()

    def _is_right(self, with_root: MinioAdmin) -> bool:
        """Return whether the user's secret works, and its rights are exactly those of the policy."""
        user = _request(lambda: with_root.user_info(str(self._settings.minio_access_key)))
        rights = _request(lambda: with_root.policy_info(self._policy_name))
        if user is None or (user.get("status"), user.get("policyName")) != ("enabled", self._policy_name):
            return False
        if rights is None or _sorted(rights) != _sorted(policy(self._buckets)):
            return False
        try:
            self._check_buckets()
        except (
            Unavailable
        ):  # most likely a wrong secret; any other cause is reported if creating the user again does not help
            return False
        return True


def policy(buckets: Sequence[str]) -> dict[str, Any]:
    """Return the S3 policy that allows the line's operations on its buckets."""
    names = [f"arn:aws:s3:::{bucket}" for bucket in buckets]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": list(ON_BUCKETS), "Resource": names},
            {"Effect": "Allow", "Action": list(ON_OBJECTS), "Resource": [f"{name}/*" for name in names]},
        ],
    }


def _open(found: Settings) -> MinioAdmin:
    server, secure = address(found)
    return MinioAdmin(
        endpoint=server,
        secure=secure,
        region=found.s3_region or "",
        credentials=StaticProvider(str(found.minio_root_user), str(found.minio_root_password)),
        http_client=urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS), retries=urllib3.Retry(total=0)
        ),
    )


def _request(question: Callable[[], str]) -> dict[str, Any] | None:
    """Return MinIO's answer as JSON; None if the user or policy does not exist."""
    try:
        answer = question()
    except MinioAdminException as error:
        code, message = _reason(error)
        if code in ABSENT:
            return None
        raise Unavailable(f"MinIO refused to make the line's user ({_named_in(code)}): {code}: {message}") from None
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise Unavailable(f"MinIO cannot be reached (MINIO_ENDPOINT): {error}") from error
    try:
        answered = json.loads(answer or "{}")
    except ValueError:
        raise Unavailable("what answers at MINIO_ENDPOINT is no MinIO: it does not speak JSON") from None
    return answered if isinstance(answered, dict) else {}


def _reason(error: MinioAdminException) -> tuple[str, str]:
    """Return the code and the text of a refusal, from its JSON body if a MinIO sent it."""
    text = str(error)
    try:
        answered = json.loads(text[text.index("{") :])
        return str(answered["Code"]), str(answered["Message"])
    except (ValueError, KeyError, TypeError):
        return "no MinIO?", text[:200]


def _named_in(code: str) -> str:
    """Return the settings that a refusal is about."""
    about_line = {"XMinioAdminInvalidAccessKey": "MINIO_ACCESS_KEY", "XMinioAdminInvalidSecretKey": "MINIO_SECRET_KEY"}
    return about_line.get(code, "MINIO_ROOT_USER, MINIO_ROOT_PASSWORD")


def _sorted(rights: Mapping[str, Any]) -> list[tuple[str, list[str], list[str]]]:
    """Return a policy in sorted order: MinIO returns lists in another one."""
    return sorted(
        (str(each.get("Effect")), sorted(each.get("Action", [])), sorted(each.get("Resource", [])))
        for each in rights.get("Statement", [])
    )
