"""The message of a picture's next run: what the stages before it left, and nothing of what is to be found again."""

import pytest

from stageline.pipeline import line, rerun
from stageline.pipeline.message import Message

AT = "2026-11-21T10:00:00.000Z"


def run_through(stages: int = 5, **fields) -> Message:
    """A message as the stages leave it, one after the other."""
    made = {"resize": {"path": "resized/a.jpg"}, "grayscale": {"path": "grayscale/a.png"}}
    made |= {"detect": {"detections": [], "faces": [], "kind": "object"}, "classify": {"categories": []}}
    made |= {"tag": {"tagged_path": "tagged/a.jpg", "path": "tagged/a.jpg"}}
    message = Message.of({"image_id": "a", "original_path": "original/a.jpg", **rerun.first_run(AT), **fields})
    for stage in line.LINE[:stages]:
        entry = {"state": "done", "run": message.run, "attempt": 1, "worker": stage.name, "ms": 1.0}
        message = message.successor(stage.name, entry, made[stage.name])
    return message


def document(message: Message, status: str = "completed", **more) -> dict:
    return {**message.fields, "status": status, "updated_at": AT, **more}


def everything(_: str) -> bool:
    return True


def test_a_folder_of_a_newer_version_is_an_error() -> None:
    """The error says to ask again when the upgrade is over, not to upload the picture again."""
    done = {"image_id": "a", "original_path": "original/a.jpg", "status": "completed"}
    done["stages"] = {"sharpen": {"state": "done", "path": "sharpened/a.jpg"}}
    with pytest.raises(rerun.CannotRun, match=r"sharpened/.* ask again when the upgrade is over"):
        rerun.prepare(done, "resize", lambda _: True)


def test_a_run_from_a_stage_takes_what_the_one_before_left() -> None:
    """Its path is the predecessor's, its findings are kept, later ones are gone and in the history."""
    message, stage = rerun.prepare(document(run_through(), completed_at=AT), "classify", everything)
    assert (stage.name, message.run, message.path) == ("classify", 2, "grayscale/a.png")
    assert "categories" not in message.fields
    assert "tagged_path" not in message.fields
    assert message.fields["kind"] == "object"
    assert set(message.fields["stages"]) == {"resize", "grayscale", "detect"}
    assert [(each["stage"], each["run"]) for each in message.fields["history"]] == [("classify", 1), ("tag", 1)]
    first, second = message.fields["runs"]
    assert (first["status"], first["finished_at"], second["from"]) == ("completed", AT, "classify")
    assert not {"status", "updated_at", "completed_at"} & set(message.fields)


def test_without_a_stage_it_begins_at_the_first_or_goes_on_where_it_waits() -> None:
    """A completed picture goes from the original; a waiting one is sent on, and does not wait again."""
    message, stage = rerun.prepare(document(run_through()), None, everything)
    assert (stage.name, message.path, message.fields["stages"]) == ("resize", "original/a.jpg", {})
    waiting = document(run_through(3, until="detect"), "waiting")
    message, stage = rerun.prepare(waiting, None, everything)
    assert (stage.name, "until" in message.fields) == ("classify", False)


def test_an_input_that_is_gone_cannot_be_run() -> None:
    """The sentence names the first stage that can; without its original a picture cannot be run at all."""
    done = document(run_through())
    with pytest.raises(rerun.CannotRun, match=r"grayscale .* first stage that can be run is resize"):
        rerun.prepare(done, "grayscale", lambda key: not key.startswith("resized/"))
    with pytest.raises(rerun.CannotRun, match="original is gone"):
        rerun.prepare(done, None, lambda key: not key.startswith("original/"))
    with pytest.raises(rerun.CannotRun, match="classify"):
        rerun.prepare(document(run_through(2), "failed"), "classify", everything)


def test_a_third_run_keeps_the_history_of_both() -> None:
    """Each attempt of each run is distinct, and none is forgotten."""
    second, _ = rerun.prepare(document(run_through()), "tag", everything)
    done = second.successor("tag", {"state": "done", "run": 2, "attempt": 1}, {"tagged_path": "tagged/a.jpg"})
    third, _ = rerun.prepare(document(done), "tag", everything)
    assert [(each["stage"], each["run"]) for each in third.fields["history"]] == [("tag", 1), ("tag", 2)]
    assert [each["run"] for each in third.fields["runs"]] == [1, 2, 3]


def test_a_picture_that_failed_before_it_was_to_wait_still_waits() -> None:
    """Run again from the beginning it stops after detect; from a later stage it goes on."""
    failed = document(run_through(2, until="detect"), "failed")
    assert rerun.prepare(failed, None, everything)[0].fields["until"] == "detect"
    done = document(run_through(5, until="detect"), "failed")
    assert "until" not in rerun.prepare(done, "tag", everything)[0].fields


def test_a_picture_that_waits_does_not_wait_again_wherever_it_is_run_from() -> None:
    """Who runs it again by name has seen that it waits: from before its stop it goes all the way, once and for all."""
    waiting = document(run_through(3, until="detect"), "waiting")
    for stage in ("resize", "detect"):
        assert "until" not in rerun.prepare(waiting, stage, everything)[0].fields


def test_what_an_earlier_stage_found_too_is_kept() -> None:
    """A later stage may have said it again: it stays while the stage that found it first is not run again."""
    done = document(run_through())
    for stage, found in {"detect": ["detections", "kind"], "classify": ["kind", "categories"]}.items():
        done["stages"][stage]["fields"] = found
    fields = rerun.prepare(done, "classify", everything)[0].fields
    assert (fields["kind"], "categories" in fields) == ("object", False)


def test_a_document_that_is_no_message_cannot_be_run() -> None:
    """What anybody may have written into results/ is held against the contract before it is queued."""
    for wrong in ({"origin_w": 0}, {"detections": "x"}, {"batch_id": 7}):
        with pytest.raises(rerun.CannotRun, match="is no message"):
            rerun.prepare(document(run_through()) | wrong, "tag", everything)


def test_what_a_foreign_producer_sent_can_be_run_again() -> None:
    """Without runs, stages or a history there is still an original to begin with."""
    foreign = {"image_id": "a", "original_path": "original/a.jpg", "status": "failed", "mine": [1]}
    message, stage = rerun.prepare(foreign, None, everything)
    assert (stage.name, message.run, message.fields["mine"]) == ("resize", 2, [1])
    assert [run["run"] for run in message.fields["runs"]] == [1, 2]
