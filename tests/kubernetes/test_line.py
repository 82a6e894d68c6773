"""A line that was applied manifest by manifest: pictures go in by curl, and every folder, row and page shows them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stageline.pipeline import line
from stageline.registry.install import by_default
from tests.kubernetes import deployed
from tests.kubernetes.kubectl import get, pods, secret, wait_until
from tests.kubernetes.uploader import API, CONSOLE, ask, curl, send
from tests.kubernetes.watcher import Watcher
from tests.support.browser import Browser, chromium
from tests.support.places import missing

SENT = 12
PICTURES = [folder.name for folder in line.pictures()]
FOLDERS = {folder: "" if folder in PICTURES else ".json" for folder in line.FOLDERS}


@pytest.fixture(scope="module")
def sent(cluster: Watcher, pictures: list[Path]) -> list[str]:
    """The ids of pictures that were sent by curl and are completed."""
    ids = []
    for picture in pictures[:SENT]:
        status, body = send(picture)
        assert status == 202, body
        ids.append(str(json.loads(body)["image_id"]))
    wait_until(lambda: all(ask(f"/status/{one}")["status"] == "completed" for one in ids), "all are completed")
    return ids


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium, where this machine has one."""
    try:
        with chromium(API) as found:
            yield found
    except FileNotFoundError as error:
        missing(str(error))


def test_every_folder_holds_every_picture(sent: list[str]) -> None:
    """Through MinIO's own port, each stage's folder has an object of each picture that was answered 202."""
    with deployed.bucket() as store:
        for folder, ending in FOLDERS.items():
            there = {key.removeprefix(f"{folder}/").split(".")[0] for key in store.keys(f"{folder}/")}
            assert set(sent) <= there, f"{folder}/ lacks {set(sent) - there}"
            some = next(key for key in store.keys(f"{folder}/{sent[0]}"))
            assert some.endswith(ending)
            assert len(store.get(some)) > 100, some


def test_objects_are_found_and_distinguished(sent: list[str]) -> None:
    """The models that were published to the bucket found something in photographs, and none of the usual is missing."""
    results = [ask(f"/status/{one}")["results"] for one in sent]
    assert sum(len(one["detections"]) for one in results) >= SENT
    assert {name for one in results for name in one.get("missing_models", [])} & set(by_default()) == set()


def test_every_picture_has_its_row(sent: list[str]) -> None:
    """PostgreSQL, asked by psql in its own pod, has each as completed."""
    wait_until(lambda: {deployed.rows().get(one) for one in sent} == {"completed"}, "a row of each")


def test_a_picture_comes_back_as_each_stage_left_it(sent: list[str], tmp_path: Path) -> None:
    """curl fetches the tagged and the blurred picture from the API."""
    for stage in PICTURES:
        status, body = curl(f"{API}/image/{sent[0]}?stage={stage}")
        assert status == 200
        assert body.startswith((b"\xff\xd8", b"\x89PNG")), f"{stage} is no picture"


def test_the_page_shows_them(sent: list[str], browser: Browser, screenshots: Path) -> None:
    """Our page at the API's NodePort shows the pictures, with thumbnails, and one with its boxes."""
    browser.url = API
    browser.open()
    browser.until(lambda: len(browser.all(".card img.here")) >= SENT, "cards with thumbnails")
    keep(browser, screenshots / "page.png")
    found = max(sent, key=lambda one: len(ask(f"/status/{one}")["results"]["detections"]))
    browser.open(f"#/picture/{found}")
    browser.until(lambda: browser.all(".strip img.here") and browser.all(".overlay .mark"), "the picture and its boxes")
    keep(browser, screenshots / "picture.png")
    assert browser.complaints() == []


def test_the_stores_console_opens_and_shows_the_bucket(sent: list[str], browser: Browser, screenshots: Path) -> None:
    """MinIO's console at its NodePort takes the root credentials of the Secret, and shows the stages' folders."""
    own = secret()
    browser.url = CONSOLE
    browser.open("login")
    browser.seen("#accessKey").send_keys(own["MINIO_ROOT_USER"])
    browser.one("#secretKey").send_keys(own["MINIO_ROOT_PASSWORD"])
    browser.one("button[type=submit]").click()
    browser.until(lambda: "login" not in browser.driver.current_url, "logged in")
    browser.open(f"browser/{deployed.config()['S3_BUCKET']}")
    browser.until(lambda: {"original", "tagged", "results"} <= set(browser.text().split()), "the stages' folders")
    for button in browser.all("button"):
        if "Acknowledge" in button.text:  # the licence, shown to who is new
            button.click()
    keep(browser, screenshots / "console.png")


def test_the_api_says_that_all_is_there(sent: list[str]) -> None:
    """/health sees the servers and a worker of each stage, and reports no problem."""
    wait_until(lambda: ask("/health")["status"] == "ready", "healthy")
    health = ask("/health")
    assert set(health["checks"].values()) == {"ok"}
    assert min(health["workers"].values()) >= 1
    assert set(health["workers"]) >= set(deployed.STAGES)


def test_every_pod_is_restricted_and_has_no_token(sent: list[str]) -> None:
    """The namespace enforces Pod Security's `restricted`, and no pod carries a token of the cluster's."""
    labels = deployed.namespace_labels() or {}
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods():
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["serviceAccountName"] == pod["metadata"]["labels"]["app.kubernetes.io/name"]
        mounted = [mount["mountPath"] for one in pod["spec"]["containers"] for mount in one["volumeMounts"]]
        assert not any("kubernetes.io" in path for path in mounted)


def test_no_credential_is_in_an_environment(sent: list[str]) -> None:
    """Every value of the Secret is in files only: `kubectl describe pod` shows none."""
    shown = json.dumps(pods()) + json.dumps(get("configmap", "stageline"))
    values = [value for name, value in secret().items() if len(value) >= 16]
    assert len(values) >= 5
    assert [value for value in values if value in shown] == []


def test_nothing_was_restarted_or_warned_of(sent: list[str], cluster: Watcher) -> None:
    """Until now no container ended that no test had end, and none was started again."""
    assert cluster.unexplained() == []


def keep(browser: Browser, path: Path) -> None:
    """Keep what is shown, once what fades in is there."""
    time.sleep(0.5)
    path.write_bytes(browser.driver.get_screenshot_as_png())
