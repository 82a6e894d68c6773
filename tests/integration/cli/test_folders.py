"""`stageline upload FOLDER`: what of a folder is sent, what is left out and said, and how it exits."""

import json
import os
from pathlib import Path

from tests.support.api_client import JPEG
from tests.support.folder_cases import put
from tests.support.running_line import RunningLine

pytest_plugins = ("tests.support.cli_fixtures",)


def test_a_folder_is_sent_and_the_rest_is_said(start_line, stageline, tmp_path) -> None:
    """It exits 0 when all that was sent was taken, 1 when not, 2 with nothing to send; names arrive byte for byte."""
    running: RunningLine = start_line()
    url = {"STAGELINE_URL": f"http://127.0.0.1:{running.port}"}
    album = tmp_path / "album"
    long = "é" * 120 + ".jpg"
    names = ("plain.jpg", " leading.jpg", "Zoe\u0308 \u200d.jpg", long)
    put(album, *names, "._plain.jpg", ".DS_Store", "@eaDir/x.jpg", "a.txt")
    (album / os.fsdecode(b"caf\xe9.jpg")).write_bytes(JPEG)
    os.mkfifo(album / "pipe.jpg")
    done = stageline("upload", album, "--json", **url)
    assert done.returncode == 0, done.stderr
    sent = {
        Path(each["path"]).name: running.client.get(f"/status/{each['image_id']}") for each in json.loads(done.stdout)
    }
    assert {each["filename"] for each in sent.values()} == {*names, "café.jpg"}
    assert [each["filename"] for each in sent.values() if each.get("filename_guessed")] == ["café.jpg"]
    for words in ("left out 3 (kept by", "left out 1 (no picture by its ending): ", "left out 1 (no regular file): "):
        assert words in done.stderr
    shown = stageline("status", os.fsdecode(b"caf\xe9.jpg"), **url)
    assert "café.jpg (a best guess)" in shown.stdout
    assert "leading.jpg" in stageline("status", "leading.jpg", **url).stdout
    (album / "bad.jpg").write_bytes(b"no picture")
    assert stageline("upload", album, **url).returncode == 1, "one was refused"
    (tmp_path / "none" / "sub").mkdir(parents=True)
    (tmp_path / "none" / ".DS_Store").touch()
    nothing = stageline("upload", tmp_path / "none", **url)
    assert nothing.returncode == 2
    assert ".DS_Store" in nothing.stderr
    assert "no pictures there" in nothing.stderr
