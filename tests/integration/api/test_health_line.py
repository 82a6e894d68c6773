"""/health of a whole line: stages without their models, and rows that do not move."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

from tests.support.health_cases import StartLine, health, is_ready
from tests.support.page_helpers import ask
from tests.support.running_line import RunningLine
from tests.support.served_api import until
from tests.support.servers import PostgresServer
from tests.support.serving import served

pytest_plugins = ("tests.support.page_fixtures",)


@pytest.fixture(scope="module")
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL whose configuration a test may change."""
    with served(PostgresServer(tmp_path_factory.mktemp("own-postgres"))) as server:
        yield server


def stopped(line: RunningLine, database: str) -> Callable[[], None]:
    """Stop the catalogue's process where it stands; how to have it go on."""
    pid = line.state["pids"]["catalogue"]
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def read_only(line: RunningLine, database: str) -> Callable[[], None]:
    """Have the database take no writes; how to have it take them again."""

    def become(how: str) -> None:
        connection = psycopg2.connect(database)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER SYSTEM SET default_transaction_read_only = {how}")
            cursor.execute("SELECT pg_reload_conf()")
        connection.close()

    become("on")
    return lambda: become("off")


@pytest.mark.parametrize("trouble", [stopped, read_only])
def test_rows_that_do_not_move_are_a_problem_however_few(
    trouble: Callable[[RunningLine, str], Callable[[], None]],
    start_line: StartLine,
    own_postgres: PostgresServer,
    data_dir: Path,
) -> None:
    """The catalogue's process is stopped, or its database takes no writes: neither is visible to a reader."""
    database = own_postgres.create_database("catalogue")
    line = start_line(DATABASE_URL=database, LEASE_SECONDS="3")
    until(lambda: is_ready(line))
    go_on = trouble(line, database)
    try:
        picture = min((data_dir / "coco128" / "images").glob("*.jpg")).read_bytes()
        assert ask(line, "/upload?wait=60", picture)["status"] == "completed"
        until(lambda: health(line)["status"] == "degraded")
        report = health(line)
        (said,) = report["problems"]
        assert said.startswith("the catalogue has written nothing for ")
        assert f"while {report['outcomes']['waiting']} outcomes wait" in said
        assert "DATABASE_URL" in said
        assert report["checks"]["catalogue"] == "ok"
    finally:
        go_on()
    until(lambda: is_ready(line))
    assert health(line)["outcomes"] == {"waiting": 0, "still_seconds": 0.0}
