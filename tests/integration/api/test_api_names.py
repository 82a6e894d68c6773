"""Names over HTTP, on a whole line: taken in any encoding, given back as they came, found however they are typed."""

import unicodedata
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import text

from grab_service.api.schemas.pictures import Pictures, PictureStatus
from grab_service.api.schemas.uploads import Accepted, Batch, BatchAccepted, Processing
from stageline.broker.producer import Producer
from stageline.catalogue import migrate, open_engine
from stageline.catalogue.engine import writing
from tests.support.api_client import JPEG
from tests.support.api_line import Api, ApiLine, until
from tests.support.picture_makers import all_kinds

pytest_plugins = ("tests.support.api_fixtures",)

FORM = {"Content-Type": "multipart/form-data; boundary=q"}
NAMES = [
    "Zoe\u0308.jpg", "Zo\u00eb 2.jpg", "  leading blanks.jpg", "👨\u200d👩\u200d👧.jpg", "می\u200cخواهم.jpg",
    "क्\u200dष.png", "a?b#c&d=e+f.jpg", "50%25.jpg", "IMG_1234", "01JD3Y5ZV5T0K8Q1Z2X3C4V5B6", "probe-1.jpg",
    "long " + "é" * 200 + " 1.jpg", "long " + "é" * 200 + " 2.jpg", "a\"b'.jpg", "<b>.jpg",
]  # fmt: skip


def form(*names: bytes, field: bytes = b"images") -> bytes:
    """A form with a picture under each name, byte for byte."""
    head = b'--q\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: image/jpeg\r\n\r\n'
    return b"".join(head % (field, name) + JPEG + b"%d\r\n" % place for place, name in enumerate(names)) + b"--q--\r\n"


def named(api: Api, name: str) -> list[dict[str, Any]]:
    """The pictures of that name, as the catalogue lists them."""
    found: list[dict[str, Any]] = api.ok("GET", f"/images?filename={quote(name, safe='')}", Pictures)["images"]
    return found


def test_a_batch_takes_every_file_whatever_the_names(api: Api) -> None:
    """A name that is no UTF-8 is a guess, and is marked as one in every answer, also for a file that is refused."""
    parts = form(b"a.jpg", b"caf\xe9.jpg", b"c.jpg").removesuffix(b"--q--\r\n")
    bad = b'--q\r\nContent-Disposition: form-data; name="file"; filename="b\xe4d.txt"\r\n\r\nno picture\r\n--q--\r\n'
    found = api.ok("POST", "/batch-upload", BatchAccepted, 202, body=parts + bad, headers=FORM)
    answer = [(each["filename"], each.get("filename_guessed")) for each in found["files"]]
    assert answer == [("a.jpg", None), ("café.jpg", True), ("c.jpg", None), ("bäd.txt", True)]
    assert (found["accepted"], found["refused"]) == (3, 1)
    image_id = found["files"][1]["image_id"]
    ended = api.ended(image_id)
    assert (ended["filename"], ended["filename_guessed"], ended["results"]["filename_guessed"]) == (
        "café.jpg",
        True,
        True,
    )
    assert "filename_guessed" not in api.ended(found["files"][0]["image_id"])
    assert api.catalogued(image_id)["filename_guessed"] is True
    path = f"/batch/{found['batch_id']}"
    stands = until(lambda: (answer := api.ok("GET", path, Batch))["done"] and answer)
    assert [each.get("filename_guessed") for each in stands["files"]] == [None, True, None, True]


def test_a_guess_is_still_marked_when_redis_has_forgotten(whole: ApiLine) -> None:
    """The catalogue has the mark for the batch, results/ for the picture; a re-run keeps it."""
    api, client = whole.api, Producer(whole.settings.redis_url, 1).client
    found = api.ok("POST", "/batch-upload", BatchAccepted, 202, body=form(b"gar\xe7on.jpg"), headers=FORM)
    image_id = found["files"][0]["image_id"]
    api.ended(image_id)
    api.catalogued(image_id)
    client.delete(f"stageline:batch:{found['batch_id']}", f"stageline:status:{image_id}", "stageline:named:garçon.jpg")
    (answer,) = api.ok("GET", f"/batch/{found['batch_id']}", Batch)["files"]
    assert (answer["filename"], answer["filename_guessed"]) == ("garçon.jpg", True)
    assert api.ok("POST", "/process/gar%E7on.jpg", Processing, 202)["image_id"] == image_id
    again = api.ended(image_id, run=2)
    assert (again["filename"], again["filename_guessed"]) == ("garçon.jpg", True)


@pytest.mark.parametrize("query", ["na%EFve.jpg", "na%C3%AFve.jpg"])
def test_a_raw_body_s_name_may_be_in_any_encoding(query: str, api: Api) -> None:
    """Bytes in the address that are no UTF-8 are read by the same guess, when it is sent and when it is looked for."""
    taken = api.ok("POST", f"/upload?filename={query}", Accepted, 202, body=JPEG)
    assert (taken["filename"], taken.get("filename_guessed")) == ("naïve.jpg", True if "%EF" in query else None)
    for typed in ("na%EFve.jpg", "na%C3%AFve.jpg", "nai%CC%88ve.jpg"):
        assert api.ok("GET", f"/status/{typed}", PictureStatus)["image_id"] == taken["image_id"]
    api.ended(taken["image_id"])
    api.catalogued(taken["image_id"])
    assert taken["image_id"] in {
        row["image_id"] for row in api.ok("GET", "/images?filename=na%EFve.jpg", Pictures)["images"]
    }


def test_a_picture_without_a_name_is_taken(api: Api) -> None:
    """As curl's `image=<street.jpg` or a client that names no file sends it; the error for a text field says how."""
    head = b'--q\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
    for data in all_kinds().values():
        taken = api.ok("POST", "/upload", Accepted, 202, body=head + data + b"\r\n--q--\r\n", headers=FORM)
        assert taken["filename"] == "unnamed"
        assert taken["file_size"] == len(data)
    refused = api.refused("POST", "/upload", 400, "text", body=head + b"street.jpg\r\n--q--\r\n", headers=FORM)
    assert "image=@street.jpg" in refused["detail"]


def test_each_name_is_given_back_as_it_came_and_found_however_it_is_typed(whole: ApiLine) -> None:
    """By status, image and filter, from Redis and from the catalogue, in NFC or NFD, with or without outer blanks."""
    api = whole.api
    body = form(*(name.replace('"', "%22").encode() for name in NAMES))
    files = api.ok("POST", "/batch-upload", BatchAccepted, 202, body=body, headers=FORM)["files"]
    assert [each["filename"] for each in files] == NAMES
    ids = dict(zip(NAMES, (each["image_id"] for each in files), strict=True))
    for image_id in ids.values():
        api.ended(image_id)
        api.catalogued(image_id)
    client = Producer(whole.settings.redis_url, 1).client
    for is_in_redis in (True, False):
        for name, image_id in ids.items():
            for typed in (name, unicodedata.normalize("NFD", name), unicodedata.normalize("NFC", name), name.strip()):
                asked = quote(typed, safe="")
                answer = api.ok("GET", f"/status/{asked}", PictureStatus)
                assert (answer["image_id"], answer["filename"]) == (image_id, name), is_in_redis
                assert api.call("GET", f"/image/{asked}").status == 200
                assert [(row["image_id"], row["filename"]) for row in named(api, typed)] == [(image_id, name)]
        if is_in_redis:
            client.delete(*client.keys("stageline:named:*"))


@pytest.mark.parametrize("asked", ["%20", "...", "%0A", "%E2%80%8D", "%5C", "%FF%FE", "a%00", "%F0%9F"])
def test_a_name_that_no_picture_has_finds_nothing(asked: str, api: Api) -> None:
    """Also not the pictures that came without one."""
    api.upload(JPEG, "..")
    api.refused("GET", f"/status/{asked}", 404, "no picture")


def test_deleting_a_picture_frees_its_name(api: Api) -> None:
    """Whichever form it came in, the one before it is the newest of that name then."""
    first, second = (api.upload(JPEG, name)["image_id"] for name in ("  Bjo\u0308rk.jpg", "Bj\u00f6rk.jpg"))
    for image_id in (first, second):
        api.ended(image_id)
        api.catalogued(image_id)
    assert api.ok("GET", "/status/Bj%C3%B6rk.jpg", PictureStatus)["image_id"] == second
    assert api.call("DELETE", f"/image/{second}").status == 204
    until(lambda: [row["image_id"] for row in named(api, "Bjo\u0308rk.jpg")] == [first])
    assert api.ok("GET", "/status/Bjo%CC%88rk.jpg", PictureStatus)["image_id"] == first


def test_names_that_an_older_version_wrote_are_found(whole: ApiLine) -> None:
    """Rows without a key get it when the catalogue's service starts, which migrates."""
    api, name = whole.api, "older é.jpg"
    image_id = api.upload(JPEG, name)["image_id"]
    api.ended(image_id)
    api.catalogued(image_id)
    engine = open_engine(whole.settings)
    with writing(engine) as connection:
        connection.execute(text("UPDATE image_info SET filename_key = NULL WHERE image_key = :key"), {"key": image_id})
    assert named(api, name) == []
    migrate.migrate(engine)
    assert [row["image_id"] for row in named(api, name)] == [image_id]
    engine.dispose()
