"""Making the files: which there are, and what each should hold."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.generate.blocks import BLOCKS, replaced
from scripts.generate.services import STAGE, Service

TEMPLATES = Path(__file__).parent / "templates"
BY = "Made by `make generate` from"
WHOLE = ("*_service/Dockerfile", "k8s/*.yaml", "k8s/autoscaling-*/*.yaml", "overlays/gpu/*.yaml")


def make(root: Path, services: Sequence[Service]) -> dict[str, str]:
    """Return what every generated file should hold, by its path below ``root``.

    Raises:
        GenerateError: a file that has generated blocks lacks one, or is missing.
    """
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,  # noqa: S701 - it makes no HTML
    )  # fmt: skip
    whole = {
        path: templates.get_template(template).render(service.values, made=_made(template, service))
        for service in services
        for path, template in _files_of(service)
    }
    values = {"services": [service.values for service in services]}

    def block(template: str) -> str:
        found = templates.get_template(template) if "\n" not in template and template.endswith(".yml") else None
        return (found or templates.from_string(template)).render(values)

    parts = {
        path: replaced(root / path, {name: block(template) for name, template in blocks.items()})
        for path, blocks in BLOCKS.items()
    }
    return whole | parts


def stale(root: Path, made: Mapping[str, str]) -> list[str]:
    """List the files that were generated once and belong to no service any more."""
    found = {str(path.relative_to(root)): path for pattern in WHOLE for path in sorted(root.glob(pattern))}
    return [name for name, path in found.items() if name not in made and f"# {BY}" in path.read_text()]


def _files_of(service: Service) -> Iterator[tuple[str, str]]:
    """The whole files of a service, each with its template."""
    yield f"{service.package}/Dockerfile", "Dockerfile"
    yield f"k8s/{service.name}.yaml", "service.yaml"
    if service.deployed.max_replicas:
        yield f"k8s/autoscaling-hpa/{service.name}.yaml", "autoscaling-hpa.yaml"
    if service.component == STAGE:
        yield f"k8s/autoscaling-keda/{service.name}.yaml", "autoscaling-keda.yaml"
    if service.deployed.gpu:
        yield f"overlays/gpu/{service.name}.yaml", "gpu.yaml"


def _made(template: str, service: Service) -> str:
    return f"{BY} {service.package}/deployment.toml and scripts/generate/templates/{template}: do not edit."
