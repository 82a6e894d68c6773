"""The line's own user on a real MinIO: it may do what the line does on its buckets, and nothing else."""

import json
from collections.abc import Callable

import pytest

from stageline.core.errors import SettingsError, Unavailable
from stageline.core.settings import Settings
from stageline.store import S3Store
from stageline.store.base import StoredObject
from stageline.store.line_user import LineUser
from tests.support.line_user_helpers import ACCESS, SECRET, admin_of, root_of, settings_of
from tests.support.servers import MinioServer

OTHER = {"minio_access_key": "another", "minio_secret_key": "another-secret"}


@pytest.fixture
def server(start_minio: Callable[[], MinioServer]) -> MinioServer:
    return start_minio()


def test_it_may_do_what_the_line_does(server: MinioServer) -> None:
    """In the buckets of pictures and of models: make, list, write one and many and in parts, read, stat, delete."""
    found = settings_of(server)
    assert LineUser(found).ensure()
    assert {bucket.name for bucket in root_of(server).list_buckets()} == {"images", "models"}
    for bucket in ("images", "models"):
        root_of(server).remove_bucket(bucket)
        store = S3Store.from_settings(found.model_copy(update={"s3_bucket": bucket}))
        store.check()
        many = [StoredObject(f"tagged/{n}.jpg", bytes([n]) * 10, "image/jpeg") for n in range(5)]
        store.put_all(many)
        large = StoredObject("original/large.jpg", b"x" * 12_000_000, "image/jpeg")  # of three parts
        store.put(large)
        assert list(store.keys("")) == [large.key, *(item.key for item in many)]
        assert all(store.get(item.key) == item.data for item in (large, *many))
        assert store.stat(large.key).size == len(large.data)
        store.delete(large.key)
        assert list(store.keys("original/")) == []


def test_it_may_do_nothing_else(server: MinioServer) -> None:
    """Another bucket can neither be made nor listed, read, written or emptied, and MinIO itself not be managed."""
    found = settings_of(server)
    LineUser(found).ensure()
    root_of(server).make_bucket("theirs")
    other = StoredObject("original/a.jpg", b"theirs", "image/jpeg")
    S3Store(root_of(server), "theirs").put(other)
    theirs = S3Store.from_settings(found.model_copy(update={"s3_bucket": "theirs"}))
    forbidden: list[Callable[[], object]] = [
        lambda: list(theirs.keys("")),
        lambda: theirs.get(other.key),
        lambda: theirs.put(other),
        lambda: theirs.delete(other.key),
        S3Store.from_settings(found.model_copy(update={"s3_bucket": "a-new-one"})).check,
        LineUser(found.model_copy(update={"minio_root_user": ACCESS, "minio_root_password": SECRET, **OTHER})).ensure,
    ]
    for step in forbidden:
        with pytest.raises(Unavailable, match=r"Access ?Denied"):
            step()
    assert S3Store(root_of(server), "theirs").get(other.key) == b"theirs"


def test_a_second_time_changes_nothing(server: MinioServer) -> None:
    """What is as it should be is left as it is: MinIO notes no new time of change."""
    assert LineUser(settings_of(server)).ensure()
    before = json.loads(admin_of(server).user_info(ACCESS))
    assert not LineUser(settings_of(server)).ensure()
    assert json.loads(admin_of(server).user_info(ACCESS)) == before


def test_the_user_of_former_keys_goes_and_another_lines_stays(server: MinioServer) -> None:
    """Who changes a key that leaked may believe that it opens nothing any more."""
    LineUser(settings_of(server)).ensure()
    neighbour = settings_of(server, s3_bucket="theirs", models_bucket="their-models", **OTHER)
    LineUser(neighbour).ensure()
    LineUser(settings_of(server, minio_access_key="the-new-line")).ensure()
    with pytest.raises(Unavailable):
        S3Store.from_settings(settings_of(server)).check()
    S3Store.from_settings(neighbour).check()
    assert set(json.loads(admin_of(server).user_list())) == {"the-new-line", "another"}


def test_a_changed_secret_is_taken(server: MinioServer) -> None:
    """The new secret opens the bucket, the old one no longer."""
    LineUser(settings_of(server)).ensure()
    changed = settings_of(server, minio_secret_key="another-secret")
    assert LineUser(changed).ensure()
    S3Store.from_settings(changed).check()
    with pytest.raises(Unavailable):
        S3Store.from_settings(settings_of(server)).check()


@pytest.mark.parametrize("harm", ["disabled", "no policy", "another policy", "a wider policy", "no bucket", "removed"])
def test_what_went_wrong_since_is_mended(server: MinioServer, harm: str) -> None:
    """Whatever somebody did to the user, its policy or its bucket, the next look makes it right."""
    found, admin = settings_of(server), admin_of(server)
    LineUser(found).ensure()
    everything = [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}]
    harms: dict[str, Callable[[], object]] = {
        "disabled": lambda: admin.user_disable(ACCESS),
        "no policy": lambda: admin.policy_unset(f"line-{ACCESS}", user=ACCESS),
        "another policy": lambda: admin.policy_set("readonly", user=ACCESS),
        "a wider policy": lambda: admin.policy_add(
            f"line-{ACCESS}", policy={"Version": "2012-10-17", "Statement": everything}
        ),
        "no bucket": lambda: root_of(server).remove_bucket("images"),
        "removed": lambda: admin.user_remove(ACCESS),
    }
    harms[harm]()
    LineUser(found).ensure()
    assert not LineUser(found).ensure()
    S3Store.from_settings(found).check()
    with pytest.raises(Unavailable, match="AccessDenied"):
        S3Store.from_settings(found.model_copy(update={"s3_bucket": "not-ours"})).check()


def test_what_is_missing_or_refused_is_named(server: MinioServer) -> None:
    """The error names the variable of a wrong or missing credential; an address without MinIO is a setting's error."""
    wrong = {
        "MINIO_ROOT_USER, MINIO_ROOT_PASSWORD.*SignatureDoesNotMatch": {"minio_root_password": "not-the-password"},
        "MINIO_ROOT_USER, MINIO_ROOT_PASSWORD.*InvalidAccessKeyId": {"minio_root_user": "nobody"},
        r"MINIO_ACCESS_KEY\): XMinioAdminInvalidAccessKey": {"minio_access_key": "ab"},
        r"MINIO_SECRET_KEY\): XMinioAdminInvalidSecretKey": {"minio_secret_key": "short"},
        "MINIO_ROOT_USER and MINIO_ROOT_PASSWORD not set": {"minio_root_user": "", "minio_root_password": ""},
        "MINIO_SECRET_KEY not set": {"minio_secret_key": ""},
        "MINIO_ENDPOINT": {"minio_endpoint": "127.0.0.1:1"},
    }
    for text, more in wrong.items():
        with pytest.raises(Unavailable, match=text):
            LineUser(settings_of(server, **more)).ensure()
    with pytest.raises(SettingsError, match="MINIO_ENDPOINT is not set"):
        LineUser(Settings())
