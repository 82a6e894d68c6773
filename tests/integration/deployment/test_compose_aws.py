"""A store elsewhere under compose: the AWS credential chain gives the keys where MinIO's are empty."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from stageline.core.settings import Settings
from stageline.pipeline import line
from stageline.store.line_user import LineUser
from tests.support.compose_config import CHAIN, FILE, PROFILES, make_env, parsed
from tests.support.places import REPOSITORY

OURS = ["grab", *(stage.name for stage in line.LINE), "catalogue"]
ELSEWHERE = "https://s3.amazonaws.com"


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .env as the documented command makes it, in which both keys of the store are emptied."""
    made = make_env(tmp_path_factory.mktemp("compose"))
    made.write_text(re.sub(r"^(MINIO_(ACCESS|SECRET)_KEY)=.*$", r"\1=", made.read_text(), flags=re.MULTILINE))
    return made


def test_the_aws_chain_gives_the_keys_of_a_store_elsewhere(env_file: Path, tmp_path: Path) -> None:
    """With MINIO_ENDPOINT set, our containers have what .env or the shell sets of the chain, and no key of MinIO's."""
    env = tmp_path / ".env"
    env.write_text(env_file.read_text() + "AWS_ACCESS_KEY_ID=of-the-file\nAWS_REGION=eu-central-1\n")
    found = parsed(env, PROFILES, MINIO_ENDPOINT=ELSEWHERE, AWS_SECRET_ACCESS_KEY="of-the-shell")
    expected = {"AWS_ACCESS_KEY_ID": "of-the-file", "AWS_SECRET_ACCESS_KEY": "of-the-shell"}
    expected |= {"AWS_REGION": "eu-central-1", "AWS_SESSION_TOKEN": None, "AWS_PROFILE": None}
    line_services = {name for name, service in found.items() if "/stageline/" in service["image"]} - {"line-user"}
    assert len(line_services) == 9
    for name in line_services:
        environment = found[name]["environment"]
        assert {key: environment[key] for key in CHAIN} == expected, name
        assert (environment["MINIO_ACCESS_KEY"], environment["MINIO_SECRET_KEY"], environment["S3_REGION"]) == ("",) * 3
    others = {name: service.get("environment") or {} for name, service in found.items() if name not in line_services}
    assert [name for name, environment in others.items() if {*CHAIN} & {*environment}] == []


def test_without_keys_no_user_is_made_on_the_minio_here(env_file: Path) -> None:
    """The line works with a store elsewhere: line-user has nothing to make, and waits for no key."""
    environment = parsed(env_file, ["line"], MINIO_ENDPOINT=ELSEWHERE)["line-user"]["environment"]
    user = LineUser(Settings(**{name.lower(): value for name, value in environment.items() if value}))
    assert user.is_root


def test_the_documented_file_mounts_the_shared_credentials(env_file: Path, tmp_path: Path) -> None:
    """The override that docs/compose.md shows is accepted, and adds the mount to each container that uses the store."""
    page = (REPOSITORY / "docs" / "compose.md").read_text()
    shown = re.search(r"```yaml\n( *# docker-compose\.override\.yml.*?)```", page, re.DOTALL)
    assert shown
    override = tmp_path / "docker-compose.override.yml"
    override.write_text(dedent(shown[1]))
    plain = parsed(env_file, PROFILES, MINIO_ENDPOINT=ELSEWHERE)
    mounted = parsed(env_file, PROFILES, FILE, override, MINIO_ENDPOINT=ELSEWHERE, AWS_REGION="eu-central-1")
    for name in (*OURS, "detect-gpu", "classify-gpu"):
        before, after = plain[name].get("volumes", []), mounted[name]["volumes"]
        (added,) = [volume for volume in after if volume not in before]
        assert len(after) == len(before) + 1
        assert added["read_only"] is True
        file = mounted[name]["environment"]["AWS_SHARED_CREDENTIALS_FILE"]
        assert str(Path(file).parent) == added["target"]
        assert mounted[name]["environment"]["AWS_REGION"] == "eu-central-1"
    assert mounted["minio"] == plain["minio"]
