"""The contract of the object store, held against a folder and a real MinIO, each bare and behind a hot cache."""

import hashlib
import os
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from stageline.core.errors import NotFound, TooLarge, Unavailable
from stageline.core.settings import Settings
from stageline.local.embedded import CACHE_OPTIONS
from stageline.store import CachedStore, FolderStore, HotCache, ObjectStore, S3Store
from stageline.store.base import StoredObject
from tests.support.serving import s3_settings


@pytest.fixture(params=["bare", "behind a cache"])
def store(request: pytest.FixtureRequest, store: ObjectStore) -> ObjectStore:
    """Each kind of object store, empty, with and without a cache before it."""
    if request.param == "bare":
        return store
    cache = request.getfixturevalue("start_redis")(*CACHE_OPTIONS)
    return CachedStore(store, HotCache(cache.url, 3600, "images"))


def item(key: str, data: bytes = b"data") -> StoredObject:
    return StoredObject(key, data, "image/jpeg")


def test_what_was_put_is_got(store: ObjectStore) -> None:
    """An object comes back byte for byte, an empty one too."""
    for data in (b"", b"\x00\xff" * 50_000):
        store.put(item("original/a.jpg", data))
        assert store.get("original/a.jpg") == data


def test_a_put_replaces(store: ObjectStore) -> None:
    """The later of two writes under one key is what is read."""
    store.put(item("original/a.jpg", b"first, and longer"))
    store.put(item("original/a.jpg", b"second"))
    assert store.get("original/a.jpg") == b"second"


def test_what_is_too_large_is_not_read(store: ObjectStore) -> None:
    """One byte over the limit is refused with both numbers; at the limit it is read."""
    store.put(item("original/a.jpg", b"12345"))
    assert store.get("original/a.jpg", 5) == b"12345"
    with pytest.raises(TooLarge, match="has 5 bytes; at most 4"):
        store.get("original/a.jpg", 4)


def test_stat_describes_an_object_without_reading_it(store: ObjectStore) -> None:
    """Its size, the MD5 of its bytes, and when it was written last, in UTC; alike for those put alone and together."""
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 returns whole seconds
    store.put(item("original/a.jpg", b"first, and longer"))
    store.put(item("original/a.jpg", b"second"))
    store.put_all([item("tagged/a.jpg", b""), item("tagged/b.jpg", b"third")])
    for key, data in (("original/a.jpg", b"second"), ("tagged/a.jpg", b""), ("tagged/b.jpg", b"third")):
        found = store.stat(key)
        assert (found.size, found.etag) == (len(data), hashlib.md5(data).hexdigest())
        assert before <= found.modified <= datetime.now(UTC) + timedelta(seconds=2)
        assert found.modified.utcoffset() == timedelta(0)


def test_several_are_put_at_once(store: ObjectStore) -> None:
    """put_all writes every object whole, and leaves nothing else behind."""
    items = [item(f"tagged/{n}.jpg", bytes([n]) * (1000 * n)) for n in range(20)]
    store.put_all(items)
    store.put_all(items[:1])
    store.put_all([])
    assert {key: store.get(key) for key in store.keys("")} == {i.key: i.data for i in items}


def test_a_large_batch_is_put_at_once(store: ObjectStore) -> None:
    """A batch of more than one upload part (5 MiB) arrives whole."""
    items = [item(f"tagged/{n}.jpg", bytes([n]) * 4_000_000) for n in range(4)]
    store.put_all(items)
    assert all(store.get(i.key) == i.data for i in items)


def test_a_store_that_keeps_archives_is_noticed(minio_server, tmp_path) -> None:
    """Where an archive is stored as it is, as by a plain S3, each object is put by itself and the archive goes."""
    store = S3Store.from_settings(s3_settings(minio_server, "keeps-archives"))
    store.check()
    store._client.upload_snowball_objects = lambda bucket, _objects: store._client.put_object(
        bucket, "snowball.1.tar", __import__("io").BytesIO(b"tar"), 3
    )
    items = [item(f"tagged/{n}.jpg", b"x" * n) for n in range(3)]
    store.put_all(items)
    store.put_all(items)
    assert sorted(store.keys("")) == [i.key for i in items]


def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    """Reading an unknown key, and asking for its size, says NotFound; deleting it is no error."""
    for ask in (store.get, store.stat):
        with pytest.raises(NotFound):
            ask("original/none.jpg")
    store.delete("original/none.jpg")


def test_a_deleted_object_is_gone(store: ObjectStore) -> None:
    """After a delete the key is neither read nor listed."""
    store.put(item("original/a.jpg"))
    store.delete("original/a.jpg")
    assert list(store.keys("original/")) == []
    with pytest.raises(NotFound):
        store.get("original/a.jpg")


def test_keys_are_listed_by_prefix_in_order(store: ObjectStore) -> None:
    """Only keys that begin with the prefix are listed, sorted."""
    for key in ("tagged/b.jpg", "tagged/a.jpg", "original/a.jpg"):
        store.put(item(key))
    assert list(store.keys("tagged/")) == ["tagged/a.jpg", "tagged/b.jpg"]
    assert list(store.keys("blurred/")) == []


def test_readers_never_see_half_an_object(store: ObjectStore) -> None:
    """While an object is replaced over and over, a reader always gets one of its versions whole."""
    versions = [bytes([n]) * 200_000 for n in range(8)]
    store.put(item("original/a.jpg", versions[0]))

    def write() -> None:
        for version in versions:
            store.put(item("original/a.jpg", version))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert store.get("original/a.jpg") in versions
    writer.join()


def test_check_makes_the_bucket(store: ObjectStore, minio_server, tmp_path) -> None:
    """A bucket that is not there is made, and making it twice is no error."""
    for fresh in (FolderStore(tmp_path / "new"), S3Store.from_settings(s3_settings(minio_server, "made-by-check"))):
        fresh.check()
        fresh.check()
        fresh.put(item("original/a.jpg"))


def test_a_folder_keeps_keys_inside(tmp_path) -> None:
    """A key that would leave the folder is no key."""
    store = FolderStore(tmp_path / "bucket")
    (tmp_path / "secret").write_text("no")
    for key in ("../secret", "/etc/passwd", "original/../../secret", ""):
        for ask in (store.get, store.stat):
            with pytest.raises(NotFound):
                ask(key)


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path) -> None:
    """A full or broken folder is like a server that is away: wait, and try again."""
    (tmp_path / "bucket").write_text("a file where the folder should be")
    store = FolderStore(tmp_path / "bucket")
    with pytest.raises(Unavailable):
        store.put(item("original/a.jpg"))
    with pytest.raises(Unavailable):
        store.check()


def test_a_store_that_is_away_is_unavailable() -> None:
    """A closed port, and a wrong password, both say Unavailable and name the settings."""
    away = S3Store.from_settings(
        Settings(minio_endpoint="127.0.0.1:9", minio_access_key="a", minio_secret_key="secret-one")
    )
    for step in (
        lambda: away.get("a/b.jpg"),
        lambda: away.stat("a/b.jpg"),
        lambda: away.put(item("a/b.jpg")),
        away.check,
    ):
        with pytest.raises(Unavailable, match="MINIO_ENDPOINT"):
            step()


def test_a_wrong_key_is_unavailable(minio_server) -> None:
    """The store's refusal is passed on, and the secret is not shown."""
    found = s3_settings(minio_server, "images").model_copy(update={"minio_secret_key": "wrong-secret"})
    with pytest.raises(Unavailable, match="SignatureDoesNotMatch") as refused:
        S3Store.from_settings(found).put(item("original/a.jpg"))
    assert "wrong-secret" not in str(refused.value)


def test_aws_names_serve_where_minio_names_are_not_set(minio_server, monkeypatch) -> None:
    """With no MINIO_* keys, the standard AWS variables are used; requests are signed for AWS_REGION."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio_server.secret_key)
    store = S3Store.from_settings(Settings(minio_endpoint=minio_server.endpoint, s3_bucket="by-aws-names"))
    assert "%2Feu-central-1%2Fs3%2F" in store._client.presigned_get_object("by-aws-names", "a")
    store.check()
    store.put(item("original/a.jpg"))
    assert store.get("original/a.jpg") == b"data"


def test_no_keys_at_all_are_named(minio_server, monkeypatch) -> None:
    """As where a Secret is missing: what to set is said, and it is waited for."""
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = S3Store.from_settings(Settings(minio_endpoint=minio_server.endpoint))
    with pytest.raises(Unavailable, match="set MINIO_ACCESS_KEY and MINIO_SECRET_KEY"):
        store.check()


def test_a_folder_that_vanished_is_unavailable(tmp_path) -> None:
    """A disk that is gone has lost nothing: every step waits for it, and none makes an empty one in its place."""
    store = FolderStore(tmp_path / "bucket")
    store.put(item("original/a.jpg"))
    (tmp_path / "bucket").rename(tmp_path / "gone")
    ask = (lambda: store.get("original/a.jpg"), lambda: store.stat("original/a.jpg"))
    for step in (*ask, lambda: store.put(item("a/b.jpg")), store.check):
        with pytest.raises(Unavailable, match="bucket is"):
            step()
    (tmp_path / "gone").rename(tmp_path / "bucket")
    store.check()
    assert store.get("original/a.jpg") == b"data"


def test_what_was_never_finished_is_cleaned_away(tmp_path) -> None:
    """What a writer that died left is removed after an hour; what is being written stays."""
    folder = tmp_path / "bucket" / "original"
    folder.mkdir(parents=True)
    for name, age in ((".part-old", 7200), (".part-new", 60), ("a.jpg", 7200)):
        (folder / name).write_bytes(b"data")
        os.utime(folder / name, (time.time() - age, time.time() - age))
    FolderStore(tmp_path / "bucket").check()
    assert sorted(path.name for path in folder.iterdir()) == [".part-new", "a.jpg"]


def test_a_role_that_no_server_gives_is_unavailable_soon(monkeypatch) -> None:
    """Where a machine's role is asked for and no server answers, the store says so instead of waiting for ever."""
    silent = socket.create_server(("127.0.0.1", 0), backlog=50)  # takes connections, and never answers
    address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
    monkeypatch.setenv("HOME", "/nonexistent")
    store = S3Store.from_settings(Settings(minio_endpoint="127.0.0.1:9"))
    with pytest.raises(Unavailable):
        store.check()
    silent.close()
