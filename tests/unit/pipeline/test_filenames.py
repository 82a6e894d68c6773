"""A picture's name: how it is read from bytes, given back as it came, and looked up in one normal form."""

import unicodedata

import pytest

from grab_service.uploads.dispositions import Part, part_of
from stageline.broker.keys import name_key
from stageline.pipeline.filenames import MAX_BYTES, MAX_KEY_BYTES, Name, decoded, lookup_key, safe_filename

LONG = "x" * 300
FAMILY, FLAG, HEART = (
    "👨\u200d👩\u200d👧.jpg",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f.png",
    "❤\ufe0f.jpg",
)
PERSIAN, HINDI, MALAYALAM = "می\u200cخواهم.jpg", "क्\u200dष.jpg", "ന്\u200d.png"
PLAIN, CAFE, GUESS, QUOTED = Name("a.jpg"), Name("café.jpg"), Name("café.jpg", guessed=True), Name('a"b.jpg')
AS_THEY_CAME = [
    "street.jpg", "straße ☃ 写真.jpg", "e\u0301.jpg", "é.jpg", " leading.jpg", "trailing .jpg ", "\u3000wide.jpg",
    FAMILY, FLAG, HEART, PERSIAN, HINDI, MALAYALAM, "<script>.jpg", 'a"b.jpg', "50%.jpg", "a?b#c&d=e;f.jpg",
    "한글.jpg", "ﬁ.jpg", "K.jpg", LONG, "é" * 300 + ".png", "é" * 2046 + ".png", "." + LONG,
    "\uf8ff.jpg", "\U0001fae8.jpg", "\u200fא.jpg", ".jpg",
]  # fmt: skip


@pytest.mark.parametrize("name", AS_THEY_CAME)
def test_a_name_is_given_back_as_it_came(name: str) -> None:
    """Whatever its normal form, its blanks, its joiners, its length; and it is looked up however it is typed."""
    assert safe_filename(name) == name
    key = lookup_key(name)
    assert 0 < len(key.encode()) <= MAX_KEY_BYTES
    for typed in (
        unicodedata.normalize("NFD", name),
        unicodedata.normalize("NFC", name),
        f" {name}\t",
        f"folder/{name}",
    ):
        assert lookup_key(typed) == key
    assert name_key(name) == name_key(unicodedata.normalize("NFD", name))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"), ("C:\\x\\street.jpg", "street.jpg"), ("a\r\nb\0c\x1b[2J.jpg", "abc[2J.jpg"),
        ("a\u202egpj.exe", "agpj.exe"), ("a\u2066b\u2069.jpg", "ab.jpg"), ("a\u2028b.jpg", "ab.jpg"),
        ("a\x85b.jpg", "ab.jpg"),
        ("", "unnamed"), (None, "unnamed"), ("..", "unnamed"), ("a/", "unnamed"), (" \t", "unnamed"), (".", "unnamed"),
        ("\u200d\u200c", "unnamed"), ("\ufeff", "unnamed"), ("\ud800a.jpg", "a.jpg"),
        ("x" * 5000 + ".jpg", "x" * 4092 + ".jpg"), ("é" * 5000 + ".png", "é" * 2046 + ".png"),
        ("x" * 5000, "x" * 4096), ("a." + "é" * 5000, "a." + "é" * 2047),
    ],
)  # fmt: skip
def test_what_is_dangerous_in_a_name_is_not_shown(given: str | None, shown: str) -> None:
    """No folders, controls, breaks of lines or turned text; at most 4 KiB, with the ending kept."""
    assert safe_filename(given) == shown
    assert safe_filename(shown) == shown
    assert len(shown.encode()) <= MAX_BYTES


def test_names_that_differ_are_looked_up_apart() -> None:
    """Joiners distinguish names; long names with the same beginning differ; an empty name finds no unnamed picture."""
    assert (
        len(
            {
                lookup_key(name)
                for name in (PERSIAN, PERSIAN.replace("\u200c", ""), FAMILY, FAMILY.replace("\u200d", ""))
            }
        )
        == 4
    )
    assert lookup_key(LONG + "1.jpg") != lookup_key(LONG + "2.jpg")
    assert lookup_key(LONG + "é") == lookup_key(LONG + "e\u0301")
    lookup_key("a" + "\u0301\u0316" * 500_000)  # would take days, if all of it were put in order
    for nobody in ("", " ", "..", "\0", "\ud800", "\\", "\u200d"):
        assert lookup_key(nobody) != lookup_key("unnamed")


@pytest.mark.parametrize(
    ("raw", "text", "guessed"),
    [
        (b"caf\xc3\xa9.jpg", "café.jpg", False),
        (b"caf\xe9.jpg", "café.jpg", True),
        (b"\xff\xfe", "ÿþ", True),
        (b"", "", False),
    ],
)
def test_bytes_are_read_by_a_best_guess(raw: bytes, text: str, guessed: object) -> None:
    """UTF-8 where they are that; else Latin-1, said to be a guess."""
    assert decoded(raw) == Name(text, guessed)


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'filename="caf\xe9.jpg"', GUESS), (b'filename="caf\xc3\xa9.jpg"', CAFE), (b"filename=caf\xe9.jpg", GUESS),
        (b"filename=a b\xe9.jpg", Name("a b\xe9.jpg", guessed=True)), (b"filename*=UTF-8''caf%C3%A9.jpg", CAFE),
        (b"filename*=utf-8'fr'caf%E9.jpg", GUESS), (b"filename*=iso-8859-1''caf%E9.jpg", CAFE),
        (b"filename*=nonsense''caf%E9.jpg", GUESS), (b"filename*=zip''caf%C3%A9.jpg", CAFE),
        (b"filename*=caf%C3%A9.jpg", CAFE), (b"filename*=Shift_JIS''%8e%ca.jpg", Name("写.jpg")),
        (b"filename*=UTF-8''50%.jpg", Name("50%.jpg")), (b"filename*=UTF-8''%zz%e", Name("%zz%e")),
        (b'filename*="UTF-8\'\'a.jpg"', PLAIN), (b"filename=b.jpg; filename*=UTF-8''a.jpg", PLAIN),
        (b"filename*=UTF-8''a.jpg; filename=b.jpg", PLAIN), (b"filename=a.jpg; filename=b.jpg", PLAIN),
        (b"filename*=UTF-8''caf%E9.jpg; filename=\"caf\xc3\xa9.jpg\"", CAFE),
        (b"filename*0*=UTF-8''caf%C3; filename*1*=%A9; filename*2=.jpg", CAFE),
        (b'filename="a%22b.jpg"', QUOTED), (b'filename="a\\"b.jpg"', QUOTED), (b'filename="a"b.jpg"', QUOTED),
        (b'filename="a\\\\b.jpg"', Name("a\\b.jpg")), (b'filename="a;b=c.jpg"', Name("a;b=c.jpg")),
        (b'filename="C:\\a\\"', Name("C:\\a\\")), (b'filename="\x95\\"', Name("\x95\\", guessed=True)),
        (b'FILENAME = "a.jpg" ;', PLAIN), (b'filename=""', Name("")), (b'filename="a.jpg', PLAIN),
        (b"filename", None), (b"", None), (b"size=3; \xff\xfe=\xff", None),
    ],
)  # fmt: skip
def test_a_part_s_name_is_read_however_it_is_written(disposition: bytes, filename: Name | None) -> None:
    """In any encoding, charset, quoting and order; the field's own name comes out all the same."""
    for header in (b'form-data; name="image"; ' + disposition, b"form-data;" + disposition + b'; name="image"'):
        if disposition.count(b'"') % 2 == 0 or header.endswith(disposition):  # an open quote takes all that follows
            assert part_of(b"X-\xff: \xfe\r\nno colon\r\ncontent-disposition: " + header) == Part("image", filename)
