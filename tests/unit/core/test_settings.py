"""The settings: read once, from the environment, and a wrong one stops the process with a sentence that names it."""

import pytest

from stageline.core import settings
from stageline.core.errors import SettingsError
from stageline.core.settings import Settings
from stageline.store import open_store
from tag_service import service as tag_service


@pytest.fixture(autouse=True)
def _fresh() -> None:
    settings.load.cache_clear()


WRONG = [
    ("REDIS_URL", "http://x"), ("REDIS_URL", "localhost:6379"), ("REDIS_URL", "redis://h:abc"),
    ("REDIS_URL", "redis://a b"), ("REDIS_URL", "redis://"), ("S3_BUCKET", "No_Capitals"), ("S3_BUCKET", "a"),
    ("PORT", "0"), ("PORT", "65536"), ("PORT", "http"), ("MAX_UPLOAD_BYTES", "0"), ("MAX_UPLOAD_BYTES", "25MB"),
    ("MAX_IMAGE_PIXELS", "-1"), ("MAX_QUEUE_SIZE", "1.5"), ("RESIZE_SCALE", "0"), ("RESIZE_SCALE", "1.1"),
    ("RESIZE_SCALE", "nan"), ("RESIZE_MIN_SIDE", "-1"), ("DETECT_ON", "colour"), ("DETECT_MIN_SCORE", "2"),
    ("DETECT_MIN_SCORE", "nan"), ("JPEG_QUALITY", "101"), ("NUM_WORKERS", "0"), ("PREFETCH", "none"),
    ("MAX_ATTEMPTS", "0"), ("LEASE_SECONDS", "0"), ("LEASE_SECONDS", "soon"), ("LOG_LEVEL", "LOUD"),
    ("LOG_FORMAT", "xml"), ("HEALTH_PORT", "false"), ("STATUS_TTL", "0"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_names_its_variable(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says which variable it is, and what it was."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        settings.load()
    assert f"{name}=" in str(error.value)
    assert value in str(error.value)


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mends settings should not have to start the service once for each."""
    for name in ("PORT", "PREFETCH", "LOG_FORMAT"):
        monkeypatch.setenv(name, "wrong")
    with pytest.raises(SettingsError, match=r"PORT=(.|\n)*PREFETCH=(.|\n)*LOG_FORMAT="):
        settings.load()


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret is shown by what is wrong beside it, by the settings themselves, nor in an address that holds one."""
    monkeypatch.setenv("MINIO_SECRET_KEY", "hunter2")
    monkeypatch.setenv("REDIS_URL", "redi://user:hunter2@host:6379/0")
    with pytest.raises(SettingsError) as error:
        settings.load()
    assert "REDIS_URL=" in str(error.value)
    assert "hunter2" not in str(error.value)
    found = Settings(redis_url="redis://user:hunter2@host:6379/0", minio_secret_key="hunter2")
    assert "hunter2" not in repr(found)
    assert "hunter2" not in str(found)
    assert found.minio_secret_key == "hunter2"


def test_an_empty_variable_is_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files and manifests leave variables empty."""
    for name in ("PORT", "MINIO_ENDPOINT", "BLUR_CLASSES", "LOG_LEVEL", "MODELS_DIR"):
        monkeypatch.setenv(name, "")
    found = settings.load()
    assert (found.port, found.minio_endpoint, found.log_level) == (30005, None, "INFO")
    assert found.blur_classes == {"face", "car"}
    assert found.models_folder == found.stageline_data / "models"


@pytest.mark.parametrize(
    ("given", "region"),
    [
        ({}, None), ({"AWS_REGION": "eu-central-1"}, "eu-central-1"), ({"S3_REGION": "eu-west-1"}, "eu-west-1"),
        ({"S3_REGION": "eu-west-1", "AWS_REGION": "eu-central-1"}, "eu-west-1"),
        ({"S3_REGION": "", "AWS_REGION": "eu-central-1"}, "eu-central-1"), ({"AWS_REGION": ""}, None),
    ],
)  # fmt: skip
def test_the_region_is_taken_from_aws_region_too(
    given: dict[str, str], region: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS_REGION serves where S3_REGION is not set, or is empty as compose leaves it; S3_REGION is the stronger."""
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert settings.load().s3_region == region


@pytest.mark.parametrize(
    ("given", "classes"),
    [
        ("face,car", {"face", "car"}), (" Face , CAR ,", {"face", "car"}), ("traffic light", {"traffic light"}),
        (",", set()), ("face", {"face"}), ("car,car", {"car"}), ("0", {"0"}), ("false", {"false"}),
    ],
)  # fmt: skip
def test_blur_classes_are_a_list_of_words(given: str, classes: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """BLUR_CLASSES is split at commas; one comma alone is none at all."""
    monkeypatch.setenv("BLUR_CLASSES", given)
    assert settings.load().blur_classes == classes


def test_numbers_and_words_are_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case does not matter where it says nothing; zero is taken where it has a meaning."""
    for name, value in (("LOG_LEVEL", "debug"), ("HEALTH_PORT", "0"), ("RESIZE_MIN_SIDE", "0"), ("RESIZE_SCALE", "1")):
        monkeypatch.setenv(name, value)
    found = settings.load()
    assert (found.log_level, found.health_port, found.resize_min_side, found.resize_scale) == ("DEBUG", 0, 0, 1.0)


def test_settings_do_not_change_and_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was validated at start is what holds; variables that are not ours are no error."""
    monkeypatch.setenv("SOMETHING_ELSE", "x")
    found = settings.load()
    monkeypatch.setenv("PORT", "1234")
    assert settings.load() is found
    with pytest.raises(ValueError, match="frozen"):
        found.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "endpoint", ["h:abc", "h:99999", "a b", "ftp://h", "http://h/path", "key:secret@h:9000", "http://"]
)
def test_a_wrong_endpoint_names_its_variable(endpoint: str) -> None:
    """An address that cannot be dialled is an error at start, without the secret in it."""
    with pytest.raises(SettingsError, match="MINIO_ENDPOINT=") as error:
        open_store(Settings(minio_endpoint=endpoint))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("given", "lacking"), [("ACCESS", "SECRET"), ("SECRET", "ACCESS")])
def test_one_key_without_the_other_is_an_error(given: str, lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a pair of keys is a slip, not a wish for the AWS chain."""
    monkeypatch.setenv(f"MINIO_{given}_KEY", "hunter2")
    with pytest.raises(SettingsError, match=f"MINIO_{lacking}_KEY is not") as error:
        open_store(Settings(minio_endpoint="127.0.0.1:9"))
    assert "hunter2" not in str(error.value)


def test_a_password_with_a_slash_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the address is broken, no piece of its password is shown."""
    monkeypatch.setenv("REDIS_URL", "redis://:hun/ter2@host:6379/0")
    with pytest.raises(SettingsError, match="redis://…@host") as error:
        settings.load()
    assert "hun" not in str(error.value)


def test_a_class_that_nothing_finds_is_no_class_to_blur() -> None:
    """A privacy copy must not pretend: what would never be hidden stops the tag stage at start."""
    assert tag_service.create(Settings(blur_classes="FACE,Traffic Light"))
    with pytest.raises(SettingsError, match="BLUR_CLASSES: nothing finds cars, licence plate"):
        tag_service.create(Settings(blur_classes="face,cars,licence plate"))
