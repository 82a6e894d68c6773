"""A campaign: pictures flow by HTTP while faults fall; then everything must have come to rest, whole.

make campaign CAMPAIGN="--pictures 2000 --kills 200 --seed 7"
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import audit, faults
from tests.chaos.deployment import Deployment
from tests.chaos.faults import Fallen
from tests.chaos.found import Outputs, everything
from tests.chaos.pictures import picture
from tests.chaos.producers import Producer, Sent

PRODUCERS = 4
MADE = 12  # pictures of our own, beside those of a folder
# A picture may be in flight at many killed workers and is not to be dead-lettered; some pictures are worked alone.
SETTINGS = {"MAX_ATTEMPTS": "30", "LARGE_PIXELS": "60000", "MAX_QUEUE_SIZE": "200"}
SECOND_WORKERS = ("detect", "tag")


@dataclass
class Report:
    """What a campaign came to."""

    command: str
    sent: Sent
    fallen: Fallen
    seconds: float
    """From the first upload until the last fault was over and the last picture sent."""
    rest: float
    """From then until nothing moved, in seconds."""
    problems: list[str]

    def __str__(self) -> str:
        fallen = self.fallen
        lines = [self.command, str(self.sent)]
        lines.append(
            f"{fallen.total} faults ({fallen.kills} kills; {fallen.on_work} while pictures were on their way) in "
            f"{self.seconds:.0f} s; at rest {self.rest:.1f} s later"
        )
        lines.append(f"{'fault':<20}{'times':>6}{'ready again, median s':>24}{'longest':>10}")
        for name, took in sorted(fallen.recoveries.items()):
            lines.append(f"{name:<20}{len(took):>6}{statistics.median(took):>24.1f}{max(took):>10.1f}")
        lines += [f"{len(self.problems)} problems", *self.problems[:20]]
        return "\n".join(lines)


def run(folder: Path, models: Path, more: Path | None, pictures: int, kills: int, seed: int) -> Report:
    """Run a campaign, in a folder of its own.

    Args:
        folder: for all data and logs.
        models: the installed models.
        more: a folder of pictures that are sent beside our own; see `files_of`.
        pictures: how many uploads; each file is sent more than once.
        kills: how many services are killed; freezes and outages of servers come to about a third of that.
        seed: decides what is sent, and which faults hit what, in which order. The moments remain the machine's.

    Raises:
        AssertionError: the line does not come to rest, a producer was answered what it must not be, or the harness
            failed; the text says how to repeat it, and where the logs are.
    """
    command = _command(models, more, pictures, kills, seed)
    files = files_of(more)
    on = Deployment(folder, models, **SETTINGS)
    for stage in SECOND_WORKERS:
        on.add(stage, f"{stage}-b")
    try:
        on.start()
        alone = undisturbed(on, files)
        began = time.monotonic()
        sent, fallen = _disturbed(on, files, pictures, faults.plan(seed, kills, list(on.services)), seed)
        seconds = time.monotonic() - began
        rest = audit.rest(on, sent)
        return Report(command, sent, fallen, seconds, rest, audit.problems(on, sent, alone))
    except Exception as error:
        raise AssertionError(f"{error!r}\nrepeat it by: {command}\nthe logs are in {folder}") from error
    finally:
        on.end()


def _command(models: Path, more: Path | None, pictures: int, kills: int, seed: int) -> str:
    """What repeats a campaign."""
    words = f"--pictures {pictures} --kills {kills} --seed {seed} --models {models}"
    words += f" --from {more}" if more else ""
    python = os.environ.get("CHAOS_PYTHON")
    return f'make campaign CAMPAIGN="{words}"' + (f" CHAOS_PYTHON={python}" if python else "")


def undisturbed(on: Deployment, files: Sequence[bytes]) -> dict[int, Outputs]:
    """What each file comes to while nothing disturbs the line; its pictures are deleted again."""
    ids = {number: on.api.take(data, f"{number}.jpg") for number, data in enumerate(files)}
    for image_id in ids.values():
        assert on.api.ended(image_id)["status"] == "completed"
    audit.nothing_moves(on)
    found = everything(on)
    for image_id in ids.values():
        answer, _ = on.api.insist("DELETE", f"/image/{image_id}")
        assert answer.status == 204, answer
    return {number: found[image_id].outputs for number, image_id in ids.items()}


def _disturbed(
    on: Deployment, files: Sequence[bytes], pictures: int, planned: list[faults.Fault], seed: int
) -> tuple[Sent, Fallen]:
    """Let pictures flow and faults fall at the same pace: before each fault its share of the pictures is sent."""
    sent, over, turn = Sent(), threading.Event(), threading.Condition()
    fallen, share = Fallen(), pictures / max(1, len(planned))

    def wait_to_send() -> None:
        with turn:
            turn.wait_for(lambda: over.is_set() or len(sent.pictures) < (fallen.total + 1) * share)

    shares = [pictures // PRODUCERS + (n < pictures % PRODUCERS) for n in range(PRODUCERS)]
    producers = [Producer(on.api, files, share, f"{seed}-{n}", sent, wait_to_send) for n, share in enumerate(shares)]
    for producer in producers:
        producer.start()
    try:
        for fault in planned:
            faults.fall(fault, on, fallen)
            with turn:
                turn.notify_all()
    finally:
        over.set()
        with turn:
            turn.notify_all()
    for producer in producers:
        producer.join()
        if producer.error is not None:
            raise AssertionError(f"{producer.name}: {producer.error!r}") from producer.error
    return sent, fallen


def files_of(folder: Path | None, most: int = 24) -> list[bytes]:
    """Some pictures of our own making, and the first JPEGs of a folder."""
    found = sorted(folder.glob("*.jpg"))[:most] if folder else []
    return [picture(number) for number in range(MADE)] + [path.read_bytes() for path in found]


def main() -> None:
    """Run a campaign as the command line says; the exit status is 1 where something did not hold."""
    parser = argparse.ArgumentParser(description="Pictures flow while faults fall; then nothing may be lost.")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--from", dest="folder", type=Path, help="a folder whose JPEGs are sent, too")
    parser.add_argument("--models", type=Path, default=Path("stageline-data/models"))
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="chaos-"))
    report = run(scratch, given.models.absolute(), given.folder, given.pictures, given.kills, given.seed)
    sys.stdout.write(f"{report}\n")
    if report.problems:
        sys.exit(f"repeat it by the first line; the logs are in {scratch}")
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
