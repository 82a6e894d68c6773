"""`stageline upload FOLDER`: what of a folder is sent, what is left out and said, and how it exits."""

import os
import stat
from pathlib import Path

import pytest
import typer

from stageline.cli import folders
from stageline.cli.folders import pictures_in
from tests.support.folder_cases import names, put


def test_of_a_folder_only_pictures_are_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Regular files with a picture's ending, wherever they are; all else is said, with its reason."""
    put(
        tmp_path,
        "a.jpg",
        "B.PNG",
        "sub/c.webp",
        "album.jpg/d.jfif",
        ".hidden.gif",
        "._a.jpg",
        "sub/._c.webp",
        ".DS_Store",
    )
    put(tmp_path, "Thumbs.db", "sub/@eaDir/c.webp/SYNOPHOTO_THUMB_XL.jpg", "__MACOSX/e.jpg", "notes.txt", "no ending")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    os.mknod(tmp_path / "socket.jpg", stat.S_IFSOCK | 0o600)
    found = pictures_in([tmp_path])
    assert names(found, tmp_path) == [".hidden.gif", "B.PNG", "a.jpg", "album.jpg/d.jfif", "sub/c.webp"]
    said = capsys.readouterr()
    assert said.out == ""
    left_out = {reason: len(paths) for reason, paths in found.left_out.items()}
    assert left_out == {folders.OF_THE_SYSTEM: 6, folders.NO_PICTURE: 2, folders.NOT_REGULAR: 3}
    for words in (
        "left out 6 (kept by a file manager",
        "left out 2 (no picture by its ending): ",
        "notes.txt",
        "pipe.jpg",
    ):
        assert words in said.err
    assert said.err.count(", …\n") == 1, "of many the first are named"
    assert found.unreadable == 0


def test_links_are_followed_once(tmp_path: Path) -> None:
    """To each real file once, under its own name where it is in the folder; never back, around, or out by a parent."""
    put(tmp_path, "in/z.jpg", "in/sub/y.jpg", "elsewhere/x.jpg", "elsewhere/deep/w.jpg", "v.jpg")
    inside = tmp_path / "in"
    for link, target in (
        ("a.jpg", "z.jpg"), ("loop", "loop"), ("gone.jpg", "nowhere"), ("sub/up", ".."), ("sub/parent", tmp_path),
        ("root", "/"), ("other", tmp_path / "elsewhere"), ("other2", tmp_path / "elsewhere"),
        ("one.jpg", tmp_path / "v.jpg"), ("two.jpg", "one.jpg"),
    ):  # fmt: skip
        (inside / link).symlink_to(target)
    (tmp_path / "elsewhere" / "back").symlink_to(inside)
    found = pictures_in([inside])
    assert names(found, inside) == ["one.jpg", "other/deep/w.jpg", "other/x.jpg", "sub/y.jpg", "z.jpg"]
    assert {reason: len(paths) for reason, paths in found.left_out.items()} == {
        folders.TAKEN: 2, folders.LEADS_NOWHERE: 2, folders.LEADS_BACK: 5,
    }  # fmt: skip


def test_what_is_named_is_sent_as_it_is(tmp_path: Path) -> None:
    """A file whatever it is called, and not again with its folder; what is no file is wrong words."""
    put(tmp_path, "photo", "._a.jpg", "b.jpg")
    (tmp_path / "link").symlink_to("photo")
    asked = [tmp_path / name for name in ("photo", "._a.jpg", "link", "b.jpg")]
    assert pictures_in([*asked, tmp_path]).pictures == asked
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, words in ((tmp_path / "pipe.jpg", "neither a regular file"), (tmp_path / "gone", "no such file")):
        with pytest.raises(typer.BadParameter, match=words):
            pictures_in([path])


def test_a_folder_that_cannot_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are sent; there may have been pictures in it, so that it counts as a failure."""
    put(tmp_path, "a.jpg", "closed/b.jpg")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(folders.os, "scandir", refuse)
    found = pictures_in([tmp_path])
    assert names(found, tmp_path) == ["a.jpg"]
    assert found.unreadable == 1
    assert "left out 1 (cannot be read): " in capsys.readouterr().err
