"""An upload's name, as the client gives it: it is shown, and nothing more."""

import pytest

from grab_service.uploads import safe_filename


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"), ("C:\\x\\street.jpg", "street.jpg"), ("straße ☃ 写真.jpg", "straße ☃ 写真.jpg"),
        ("a\r\nb\0c\x1b[2J.jpg", "abc[2J.jpg"), ("a\u202egpj.exe", "agpj.exe"), ("a\u2028b.jpg", "ab.jpg"),
        ("", "unnamed"), (None, "unnamed"), ("..", "unnamed"), ("a/", "unnamed"), (" \t", "unnamed"), (".", "unnamed"),
        ("x" * 4096 + ".jpg", "x" * 251 + ".jpg"), ("é" * 4096 + ".png", "é" * 125 + ".png"),
        ("x" * 4096, "x" * 255), ("a." + "é" * 4096, "a." + "é" * 126), ("." + "x" * 300, "." + "x" * 254),
        ("e\u0301.jpg", "é.jpg"), ("\ud800a.jpg", "a.jpg"), ("<script>.jpg", "<script>.jpg"),
    ],
)  # fmt: skip
def test_a_filename_is_only_shown(given: str | None, shown: str) -> None:
    """No folders, nothing invisible, at most 255 bytes with the ending kept."""
    assert safe_filename(given) == shown
    assert len(safe_filename(given).encode()) <= 255
