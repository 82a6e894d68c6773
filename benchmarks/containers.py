"""Measures the sizes of the images, and how soon their containers are ready.

    python -m benchmarks.containers [--afresh] [--run] [--into docs/sizing.md]

Sizes are those of the layers as docker, podman or buildah saves them, uncompressed: each image's, how much of it lies
in layers that others have too, and all images together with each layer counted once. Where KUBECONFIG names a cluster
that has the line, the seconds from each container's start to its pod's being ready follow, as the cluster notes them:
to the second. Of a pod that waited for its servers, or was unready meanwhile, that is until it was ready again; with
--afresh one pod of each workload after the other is deleted, and the one in its place measured. With --run each
service's container is run here, beside a Redis and a MinIO, and asked /readyz until it says yes.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks import container_starts as starts
from benchmarks.container_images import Images, built, layers, shared, together
from benchmarks.sizing_plan import table
from benchmarks.sizing_tables import put_into

MB = 1_000_000


def sizes(images: Images) -> Iterator[str]:
    """Yield the images' sizes."""
    common = shared(images)
    rows = [
        [name.rpartition("/")[2], f"{total / MB:.0f}", f"{common[name] / MB:.0f}", f"{(total - common[name]) / MB:.1f}"]
        for name, total in ((name, sum(found.values())) for name, found in images.items())
    ]
    rows.append(["all together", f"{together(images) / MB:.0f}", "", ""])
    yield "**Images**, MB uncompressed"
    yield ""
    yield from table(["", "in all", "of it in layers that others have too", "its own"], rows)


def in_cluster(*, afresh: bool) -> Iterator[str]:
    """Yield the seconds in the cluster's records of each pod, or of new pods."""
    of_what = "a new pod of each workload, its servers there" if afresh else "the pods as they are"
    yield f"**Pods**: seconds from the container's start to ready, to the second; {of_what}"
    yield ""
    if afresh:
        found: Iterable[tuple[str, float | None]] = starts.renewed()
    else:
        found = sorted((str(pod["metadata"]["name"]), starts.seconds_to_ready(pod)) for pod in starts.pods())
    rows = [[name, "not ready" if seconds is None else f"{seconds:.0f}"] for name, seconds in found]
    yield from table(["", "s"], rows)


def here(engine: str, images: Images, models: Path) -> Iterator[str]:
    """Yield the seconds of each service's container on this machine."""
    yield f"**Containers**: seconds from the start to ready, run by {engine} beside a Redis and a MinIO"
    yield ""
    services = {name.rpartition("/")[2].partition(":")[0]: name for name in images if not name.endswith("-gpu")}
    rows = [[service, f"{seconds:.1f}"] for service, seconds in starts.run_here(engine, services, models)]
    yield from table(["", "s"], rows)


def report(options: argparse.Namespace) -> Iterator[str]:
    """Yield all figures that can be measured here."""
    engine, names = built()
    images = layers(engine, names)
    yield from sizes(images)
    if options.run:
        yield from here("podman" if engine == "buildah" else engine, images, options.models)
    if starts.has_cluster():
        yield from in_cluster(afresh=options.afresh)
    elif options.afresh:
        raise RuntimeError("--afresh needs a cluster that has the line: set KUBECONFIG")


def main() -> int:
    """Measure and report; return 0, or 2 if something is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.containers", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--afresh", action="store_true", help="delete a pod of each workload first")
    parser.add_argument("--run", action="store_true", help="run each service's container here, too")
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"), help="where models are installed")
    parser.add_argument(
        "--into", type=Path, metavar="FILE", help="put the tables into this document, between its marks"
    )
    options = parser.parse_args()
    try:
        shown = list(report(options))
    except (FileNotFoundError, RuntimeError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(shown))
    if options.into:
        put_into(options.into, "containers", shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
