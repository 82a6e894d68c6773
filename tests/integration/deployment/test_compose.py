"""docker-compose.yml: accepted in every profile, hardened, without a password of its own; the same as the manifests."""

import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from stageline import __version__
from stageline.core.settings import Settings
from stageline.pipeline import line
from tests.support.compose_config import (
    CHAIN,
    EXAMPLE,
    FILE,
    MAKER,
    PROFILES,
    TEST_ENV,
    TEST_FILE,
    config,
    make_env,
    parsed,
    values_in,
)
from tests.support.manifests import ON_GPU
from tests.support.places import REPOSITORY

STAGES = [stage.name for stage in line.LINE]
OURS = [*STAGES, "grab", "catalogue"]
SERVERS = ["redis", "cache", "minio"]
VARIANTS = {f"{name}-gpu" for name in ON_GPU}
ALWAYS = {*SERVERS, "line-user", *OURS} - set(ON_GPU)
OF_PROFILE = {
    "line": {*ALWAYS, *ON_GPU},
    "gpu": {*ALWAYS, *VARIANTS},
    "postgres": {"postgres"},
    "monitoring": {"prometheus"},
    "backup": {"rclone"},
}
SECRETS = [name for name, value in values_in(EXAMPLE).items() if not value]


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .env as the documented command makes it."""
    return make_env(tmp_path_factory.mktemp("compose"))


@pytest.fixture(scope="module")
def services(env_file: Path) -> dict[str, Any]:
    """All services of all profiles."""
    return parsed(env_file, PROFILES)


@pytest.mark.parametrize("chosen", [one for size in range(1, 6) for one in combinations(PROFILES, size)], ids="+".join)
def test_every_choice_of_profiles_is_accepted(env_file: Path, chosen: tuple[str, ...]) -> None:
    """Each profile, each few and all together bring what they should; gpu brings its variants in place of the CPU's."""
    assert set(parsed(env_file, chosen)) == set().union(*(OF_PROFILE[profile] for profile in chosen))


def test_a_plain_up_starts_the_line_and_its_database(env_file: Path) -> None:
    """.env chooses the profiles, so that `docker compose up -d` is enough."""
    assert set(parsed(env_file)) == OF_PROFILE["line"] | OF_PROFILE["postgres"]


def test_the_documented_command_makes_passwords(env_file: Path) -> None:
    """Each is there, unlike the others, and nobody else's to read; of 48 letters, as those of scripts/secret.sh."""
    made = {name: value for name, value in values_in(env_file).items() if name in SECRETS}
    assert len(set(made.values())) == len(SECRETS) >= 5
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in made.values())
    assert env_file.stat().st_mode & 0o077 == 0
    before = env_file.read_text()
    assert subprocess.run([env_file.parent / "scripts" / MAKER.name], check=False, timeout=60).returncode == 1
    assert env_file.read_text() == before


@pytest.mark.parametrize("name", [*SECRETS, "MINIO_ROOT_USER", "MINIO_ACCESS_KEY"])
def test_a_missing_password_is_named(env_file: Path, tmp_path: Path, name: str) -> None:
    """Nothing starts with an empty password: the error names the variable and says what to do."""
    lacking = tmp_path / ".env"
    lacking.write_text(re.sub(rf"^{name}=.*$", f"{name}=", env_file.read_text(), flags=re.MULTILINE))
    done = config(lacking, ["line"])
    assert done.returncode != 0
    assert name in done.stderr
    assert ".env.example" in done.stderr


def test_the_example_alone_starts_nothing() -> None:
    """It holds no usable secret."""
    assert SECRETS
    assert config(EXAMPLE, ["line"]).returncode != 0


def test_ours_are_built_by_their_dockerfiles_and_bear_the_version(services: dict[str, Any]) -> None:
    """Every stage of the line, the API and the catalogue, by the name that `make images` gives them; never pulled."""
    for name in OURS:
        assert services[name]["image"] == f"docker.io/stageline/{name}:{__version__}"
        assert services[name]["build"]["dockerfile"] == f"{name}_service/Dockerfile"
        assert (Path(services[name]["build"]["context"]) / f"{name}_service" / "Dockerfile").is_file()
        assert services[name]["pull_policy"] == "never"
    assert services["line-user"]["image"] == services["grab"]["image"]


@pytest.mark.parametrize("name", ON_GPU)
def test_a_gpu_variant_differs_in_what_it_must(services: dict[str, Any], name: str) -> None:
    """Its image, what is installed in it, its device and its memory; all else is the CPU variant's."""
    plain, gpu = services[name], services[f"{name}-gpu"]
    assert gpu["image"] == f"{plain['image']}-gpu"
    assert gpu["build"].pop("args") == {"REQUIREMENTS": "requirements-gpu.txt"}
    assert gpu["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert gpu["networks"]["default"]["aliases"] == [name]
    differing = {key for key in {*plain, *gpu} if plain.get(key) != gpu.get(key)}
    assert differing == {"profiles", "image", "deploy", "networks", "mem_limit"}


def test_every_container_is_hardened(services: dict[str, Any]) -> None:
    """Nothing to write to but volumes and memory, no capabilities, none to be gained, an end to what it may take."""
    assert set(services) == set().union(*OF_PROFILE.values())
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert any(each.startswith("/tmp") for each in service["tmpfs"]), name
        assert int(service["mem_limit"]) >= 256 * 1024**2, name
        assert service["pids_limit"] > 0, name
        assert service["logging"]["options"]["max-size"], name
        assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(service), name
        assert all(volume["type"] == "volume" or volume["read_only"] for volume in service.get("volumes", [])), name


def test_only_what_people_use_is_published(env_file: Path, services: dict[str, Any]) -> None:
    """The API on 8000 and 30005, the console on 30003, Prometheus: on this machine alone, unless .env opens them."""
    published = {
        (name, port["host_ip"], port["published"], port["target"])
        for name, service in services.items()
        for port in service.get("ports", [])
    }
    here = "127.0.0.1"
    ports_of_the_api = {("grab", here, "8000", 30005), ("grab", here, "30005", 30005)}
    assert published == ports_of_the_api | {("minio", here, "30003", 9001), ("prometheus", here, "9090", 9090)}
    assert services["grab"]["environment"]["MINIO_CONSOLE_URL"] == "http://localhost:30003"
    opened = parsed(env_file, ["line"], PUBLISH_ADDRESS="0.0.0.0")
    assert {port["host_ip"] for name in ("grab", "minio") for port in opened[name]["ports"]} == {"0.0.0.0"}


def test_secrets_reach_only_services_that_need_them(env_file: Path, services: dict[str, Any]) -> None:
    """Only the store and the maker of the line's user have the store's root; no password is on a command line."""
    made = values_in(env_file)
    line_only = {*OURS, *VARIANTS, "line-user"}
    holders = {
        "MINIO_ROOT_PASSWORD": {"minio", "line-user"},
        "DATABASE_PASSWORD": {"postgres", "grab", "catalogue"},
        "REDIS_PASSWORD": {"redis", *line_only},
        "CACHE_PASSWORD": {"cache", *line_only},
        "MINIO_SECRET_KEY": line_only,
    }
    assert set(holders) == set(SECRETS)
    for secret, expected in holders.items():
        having = {name for name, each in services.items() if made[secret] in (each.get("environment") or {}).values()}
        assert having == expected, secret
        assert not [name for name, each in services.items() if made[secret] in f"{each['command']}{each['entrypoint']}"]


def test_settings_of_our_containers_are_settings(services: dict[str, Any]) -> None:
    """No name is misspelt: each is one of stageline/core/settings.py, or of the AWS chain."""
    known = {name.upper() for name in Settings.model_fields} | {*CHAIN}
    for name in (*OURS, "detect-gpu", "line-user"):
        assert set(services[name]["environment"]) <= known, name


def test_other_settings_come_from_a_file_of_their_own(env_file: Path, tmp_path: Path) -> None:
    """Where there is a line.env, ours have what it sets, and the servers have not; what .env sets goes before."""
    shutil.copy(FILE, tmp_path)
    (tmp_path / "line.env").write_text("DETECT_MODEL=ssd-mobilenet-v1\nS3_BUCKET=elsewhere\n")
    for name, service in parsed(env_file, PROFILES, tmp_path / FILE.name).items():
        environment = service.get("environment") or {}
        ours = service["image"].startswith("docker.io/stageline/")
        assert environment.get("DETECT_MODEL") == ("ssd-mobilenet-v1" if ours else None), name
        assert environment.get("S3_BUCKET") == ("images" if ours else None), name


def test_a_stage_has_the_time_to_end_its_work(services: dict[str, Any]) -> None:
    """Docker kills none before its longest work is over, nor ends the servers before their users; and each gets
    the SIGTERM that comes while Python starts, which the kernel keeps from a container's first process.
    """
    settings = Settings()
    for name in STAGES:
        seconds = eval(services[name]["stop_grace_period"].replace("m", "*60+").replace("s", ""))
        assert seconds > settings.work_timeout + settings.shutdown_seconds, name
        assert set(SERVERS) <= set(services[name]["depends_on"]), name
    for name in (*OURS, "detect-gpu", "line-user"):
        assert services[name]["init"] is True, name
    assert services["catalogue"]["depends_on"]["postgres"]["required"] is False


def test_without_a_database_both_users_share_a_file(env_file: Path, services: dict[str, Any]) -> None:
    """The catalogue is PostgreSQL, its password apart; with DATABASE_URL= it is SQLite's file on a volume of both."""
    users = ("grab", "catalogue")
    for name in users:
        assert services[name]["environment"]["DATABASE_URL"] == "postgresql://stageline@postgres:5432/stageline"
    plain = parsed(env_file, ["line"], DATABASE_URL="")
    for name in users:
        assert plain[name]["environment"]["DATABASE_URL"] == ""
        assert [(volume["source"], volume["target"]) for volume in plain[name]["volumes"]] == [("catalogue", "/data")]


@pytest.mark.parametrize("name", [*OURS, *SERVERS, "postgres"])
def test_containers_are_those_of_the_manifests(services: dict[str, Any], name: str) -> None:
    """The same image and the same memory in both; Redis and the cache fill as much of theirs."""
    documents = yaml.safe_load_all((REPOSITORY / "k8s" / f"{name}.yaml").read_text())
    workload = next(each for each in documents if each["kind"] in {"Deployment", "StatefulSet"})
    container = next(each for each in workload["spec"]["template"]["spec"]["containers"] if each["name"] == name)
    assert services[name]["image"] == container["image"]
    memory = container["resources"]["limits"]["memory"]
    assert int(services[name]["mem_limit"]) == int(memory[:-2]) * {"Mi": 1024**2, "Gi": 1024**3}[memory[-2:]], memory
    if "--maxmemory" in (arguments := container.get("args", [])):
        assert f"--maxmemory {arguments[arguments.index('--maxmemory') + 1]} " in " ".join(services[name]["entrypoint"])


def test_prometheus_looks_at_all_of_ours(services: dict[str, Any]) -> None:
    """The API at its port, every stage and the catalogue at their health port."""
    jobs = yaml.safe_load((REPOSITORY / "monitoring" / "prometheus.yml").read_text())["scrape_configs"]
    looked_up = jobs[1]["dns_sd_configs"][0]
    assert sorted(looked_up["names"]) == sorted(name for name in OURS if name != "grab")
    assert looked_up["port"] == Settings().health_port
    assert jobs[0]["static_configs"][0]["targets"] == [f"grab:{services['grab']['ports'][0]['target']}"]


def test_every_variable_is_explained() -> None:
    """What docker-compose.yml asks .env for stands in .env.example and in docs/compose.md; and nothing else does."""
    asked = set(re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", FILE.read_text())) | {"COMPOSE_PROFILES", *CHAIN}
    assert set(re.findall(r"^#?([A-Z0-9_]+)=", EXAMPLE.read_text(), re.MULTILINE)) == asked
    explained = (REPOSITORY / "docs" / "compose.md").read_text()
    assert [name for name in sorted(asked) if f"`{name}`" not in explained] == []


def test_the_test_line_is_a_line_of_its_own(env_file: Path, services: dict[str, Any]) -> None:
    """docker-compose.test.yml is accepted without a .env, takes no port that is taken, and waits for every service."""
    tried = parsed(TEST_ENV, ["line", "postgres"], TEST_FILE)
    assert set(tried) == OF_PROFILE["line"] | OF_PROFILE["postgres"] | {"test"}
    assert set(tried["test"]["depends_on"]) == {*OURS, "line-user", "postgres"}
    assert {port["published"] for each in tried.values() for port in each.get("ports", [])} == {"0"}
    assert tried["test"]["image"] == services["grab"]["image"]
    assert config(env_file, ["line", "postgres"], TEST_FILE).returncode == 0
