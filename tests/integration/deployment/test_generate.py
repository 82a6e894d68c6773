"""The generated files: what is committed is what the table of the line makes, and a stage more is made everywhere."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from scripts.generate.__main__ import main
from stageline import __version__
from tests.support.added_stage import follow_the_page
from tests.support.compose_config import PROFILES, TEST_ENV, parsed
from tests.support.manifests import render
from tests.support.places import REPOSITORY
from tests.support.running_line import inherited

FOLDERS = ("k8s", "overlays", "scripts", "monitoring")
GOOD = 'does = "shrinks"\ncpu = "1m"\nmemory = "1Mi"\nmemory_limit = "1Mi"\n'
FILES = ("docker-compose.yml", "docker-compose.test.yml")


def by_its_own_table(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the generator of a copy, which has another table than this process has."""
    return subprocess.run(
        [sys.executable, "-m", "scripts.generate", *words],
        env=inherited(), cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def generate(copy: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run the generator on the copy; return its exit status, and what it says on standard error."""

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        return main(words, copy), capsys.readouterr().err

    return run


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository's files, as they are committed."""
    skipped = shutil.ignore_patterns("__pycache__")
    for folder in (*FOLDERS, "stageline", "models", *(path.name for path in REPOSITORY.glob("*_service"))):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=skipped)
    for name in FILES:
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A copy in which somebody followed docs/adding-a-stage.md, and generated the files."""
    follow_the_page(tmp_path)
    for folder in FOLDERS:
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(REPOSITORY / name, tmp_path)
    done = by_its_own_table(tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_what_is_committed_is_what_is_made() -> None:
    """Nobody edits a generated file, or the table of the line, without `make generate`."""
    done = by_its_own_table(REPOSITORY, "--check")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name",
    ["resize_service/Dockerfile", "k8s/tag.yaml", "k8s/autoscaling-hpa/grab.yaml", "k8s/autoscaling-keda/detect.yaml",
     "overlays/gpu/classify.yaml"],
)  # fmt: skip
def test_an_edit_of_a_generated_file_is_named(copy: Path, generate, name: str) -> None:
    """The check names the file and writes nothing; `make generate` brings it back, also when it is gone."""
    path = copy / name
    path.write_text(path.read_text() + "# edited\n")
    edited = path.read_bytes()
    assert generate("--check") == (1, f"{name} is not what `make generate` makes: run it\n")
    assert path.read_bytes() == edited
    path.unlink()
    assert generate() == (0, "")
    assert path.read_bytes() == (REPOSITORY / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "was", "becomes"),
    [
        ("docker-compose.yml", f"grayscale:{__version__}", "grayscale:9.9.9"),
        ("docker-compose.test.yml", "grayscale, ", ""),
        ("monitoring/prometheus.yml", "grayscale, ", ""),
        ("k8s/Kustomization", "  - grayscale.yaml\n", ""),
        ("k8s/istio/who-may-reach-what.yaml", "sa/grayscale", "sa/somebody"),
        ("k8s/network-policies/models-from-the-internet.yaml", "[detect, classify]", "[detect, classify, tag]"),
        ("overlays/images/kustomization.yaml", "team/stageline-tag", "stageline-tag"),
        ("overlays/gpu/kustomization.yaml", "detect|classify", "detect"),
    ],
)
def test_an_edit_of_a_generated_part_is_named(copy: Path, generate, name: str, was: str, becomes: str) -> None:
    """What stands between the marks is made anew; what stands around them stays as somebody wrote it."""
    path = copy / name
    text = "# by hand\n" + path.read_text()
    path.write_text(text.replace(was, becomes))
    assert path.read_text() != text
    assert generate("--check") == (1, f"{name} is not what `make generate` makes: run it\n")
    assert generate() == (0, "")
    assert path.read_text() == text


def test_the_files_of_a_stage_that_is_gone_are_removed(copy: Path) -> None:
    """The check names them, and `make generate` removes them; no file that is written by hand is touched."""
    table = copy / "stageline" / "pipeline" / "line.py"
    rows = [row for row in table.read_text().splitlines(keepends=True) if '"grayscale_queue"' not in row]
    table.write_text("".join(rows))
    before = set(copy.rglob("*.yaml"))
    done = by_its_own_table(copy, "--check")
    assert done.returncode == 1
    assert "k8s/grayscale.yaml belongs to no service of the line: `make generate` removes it" in done.stderr
    assert by_its_own_table(copy).returncode == 0
    gone = {str(path.relative_to(copy)) for path in before if not path.exists()}
    assert gone == {"k8s/grayscale.yaml", "k8s/autoscaling-hpa/grayscale.yaml", "k8s/autoscaling-keda/grayscale.yaml"}
    assert "grayscale" not in (copy / "docker-compose.yml").read_text()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "is missing: copy another service's"),
        ("does = ", "is not TOML"),
        ('does = "shrinks"\ncpu = "1m"\nmemory = "1Mi"\n', "memory_limit: Field required"),
        (f"{GOOD}replicas = 3\n", "replicas: Extra inputs are not permitted. Its keys are does, cpu, memory"),
        (GOOD.replace('"1m"', '"half"'), "cpu: String should match"),
        (GOOD, "lacks max_replicas or pictures_per_pod, which a stage must have"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_deployment_toml_is_said(copy: Path, generate, text: str | None, sentence: str) -> None:
    """The sentence names the file, and what it may hold."""
    path = copy / "resize_service" / "deployment.toml"
    path.unlink()
    if text is not None:
        path.write_text(text)
    code, said = generate()
    assert code == 2
    assert str(path) in said
    assert sentence in said


def test_a_lost_mark_is_said(copy: Path, generate) -> None:
    """Where the generated part would go is not guessed."""
    path = copy / "monitoring" / "prometheus.yml"
    path.write_text(path.read_text().replace("# generated: services", "# services"))
    code, said = generate()
    assert code == 2
    assert "must have the generated blocks services" in said


def test_a_stage_more_is_in_every_file(extended: Path) -> None:
    """Its own files are made, and the others name it: those of compose and of Kustomize are accepted."""
    assert by_its_own_table(extended, "--check").returncode == 0
    own = ("sharpen_service/Dockerfile", "k8s/sharpen.yaml", "k8s/autoscaling-hpa/sharpen.yaml",
           "k8s/autoscaling-keda/sharpen.yaml")  # fmt: skip
    for name in own:
        assert "resize" not in (extended / name).read_text().replace("resize_service/deployment.toml", "")
    services = parsed(TEST_ENV, PROFILES, extended / "docker-compose.yml")
    assert services["sharpen"]["build"]["dockerfile"] == "sharpen_service/Dockerfile"
    assert "sharpen-gpu" not in services
    scraped = yaml.safe_load((extended / "monitoring" / "prometheus.yml").read_text())["scrape_configs"]
    assert "sharpen" in scraped[1]["dns_sd_configs"][0]["names"]
    for overlay in ("k8s", "overlays/images", "overlays/gpu"):
        names = [each["metadata"]["name"] for each in render(extended / overlay) if each["kind"] == "Deployment"]
        assert "sharpen" in names
    for policy in yaml.safe_load_all((extended / "k8s" / "istio" / "who-may-reach-what.yaml").read_text()):
        if policy["kind"] == "AuthorizationPolicy" and policy["metadata"]["name"] != "postgres":
            principals = policy["spec"]["rules"][0]["from"][0]["source"]["principals"]
            assert "cluster.local/ns/stageline/sa/sharpen" in principals


def test_packages_of_debian_are_installed_in_the_image(extended: Path) -> None:
    """A stage that needs more than Python's packages names them in its folder."""
    path = extended / "sharpen_service" / "deployment.toml"
    path.write_text(path.read_text() + 'debian_packages = ["libraw-bin", "file"]\n')
    assert by_its_own_table(extended).returncode == 0
    made = (extended / "sharpen_service" / "Dockerfile").read_text()
    assert "apt-get install --yes --no-install-recommends libraw-bin file" in made
    assert "apt-get" not in (extended / "tag_service" / "Dockerfile").read_text()
