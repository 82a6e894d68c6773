"""The heartbeat of claims under an Idempotency-Key, in one process: what it renews, and what it leaves alone."""

import threading
import uuid

import pytest

from grab_service.api.problems import StillRunning
from grab_service.line.claims import LEASE_SECONDS, HeldClaims
from grab_service.line.intake import Intake, Wanted
from grab_service.uploads.batches import KEEP_AFTER, UploadBatch
from grab_service.uploads.forms import Sent
from grab_service.uploads.idempotency import Claim, fingerprint
from stageline.broker.producer import Producer
from stageline.broker.redis_client import Call
from stageline.store import open_store
from tests.support.api_client import JPEG, queued
from tests.support.served_api import until


def claim(intake: Intake, data: bytes = b"x") -> Claim:
    return Claim(intake, "k", fingerprint(data), uuid.uuid4().hex)


def claiming(name: object) -> Call:
    return Call(
        "claim", record=f"stageline:once:{name}", fingerprint="a fingerprint", owner=str(name),
        held_seconds=LEASE_SECONDS, kept_seconds=60, image_id="an id",
    )  # fmt: skip


def test_a_heartbeat_brings_back_no_claim_that_is_anothers_or_settled(settings) -> None:
    """A process that was out of touch for too long learns that it was taken over, and stops."""
    one, other = (Intake(open_store(settings), settings) for _ in range(2))
    first = claim(one)
    with first.held():
        one.client.hset(first._record, "until", 0)  # as after some seconds without a heartbeat
        second = claim(other)
        assert second.image_id == first.image_id
        one.claims._renew([(first._owner, first._claim())])
        with pytest.raises(StillRunning):
            first.refuse_if_lost()
        first.remember({"a": 1})
        known = one.client.hgetall(first._record)
        assert (known[b"owner"].decode(), known.get(b"answer")) == (second._owner, None)
    hold = Call("hold", record=second._record, owner=second._owner, held_seconds=LEASE_SECONDS)
    assert other.line.scripts.run(hold) == 1
    second.leave()
    assert other.line.scripts.run(hold) == 0
    third = claim(one)
    third.remember({"a": 1})
    hold = Call("hold", record=third._record, owner=third._owner, held_seconds=LEASE_SECONDS)
    assert one.line.scripts.run(hold) == 0


def test_a_batch_whose_claim_was_taken_over_stops(settings) -> None:
    """The process that took it over goes on with it; the first one takes only a few files more."""
    one, other = (Intake(open_store(settings), settings) for _ in range(2))
    first = claim(one)
    batch = UploadBatch(one, Wanted(batch_id=first.image_id), "", first)
    with first.held():
        one.client.hset(first._record, "until", 0)
        claim(other)
        one.claims._renew([(first._owner, first._claim())])
        for _ in range(KEEP_AFTER - 1):
            batch.take(Sent(JPEG, "a.jpg"))
        with pytest.raises(StillRunning):
            batch.take(Sent(JPEG, "a.jpg"))
    assert len(queued(settings)) == KEEP_AFTER


def test_a_claim_until_a_time_far_away_is_free(settings) -> None:
    """Redis's clock was set back: a claim lasts no longer for that."""
    intake = Intake(open_store(settings), settings)
    first = claim(intake)
    with pytest.raises(StillRunning) as refused:
        claim(intake)
    assert 1 <= refused.value.retry_after <= LEASE_SECONDS
    intake.client.hincrbyfloat(first._record, "until", 3600)
    assert claim(intake).image_id == first.image_id


def test_many_claims_share_one_thread_which_ends_with_them(settings) -> None:
    """However many requests work at once, and however often."""
    holds = HeldClaims(Producer(settings.redis_url, 1).scripts)

    def heartbeats() -> int:
        return sum(thread.name == "claims" for thread in threading.enumerate())

    until(lambda: heartbeats() == 0)
    for number in range(50):
        holds.begin(str(number), claiming(number))
    assert heartbeats() == 1
    for number in range(50):
        holds.end(str(number))
    until(lambda: heartbeats() == 0)
    holds.begin("a", claiming("a"))
    assert heartbeats() == 1
    holds.end("a")


def test_a_claim_whose_record_redis_lost_is_claimed_anew(settings) -> None:
    """As after a restart without its file: a batch goes on under its id, and no other process begins it meanwhile."""
    one, other = (Intake(open_store(settings), settings) for _ in range(2))
    first = claim(one)
    batch = UploadBatch(one, Wanted(batch_id=first.image_id), "", first)
    with first.held():
        batch.take(Sent(JPEG, "a.jpg"))
        one.client.delete(first._record)
        one.claims._renew([(first._owner, first._claim())])
        with pytest.raises(StillRunning):
            claim(other)
        for _ in range(KEEP_AFTER):
            batch.take(Sent(JPEG, "a.jpg"))
        batch.keep()
        first.remember({"sent": "all"})
    assert len(queued(settings)) == KEEP_AFTER + 1
    again = claim(other)
    assert (again.image_id, again.replay) == (first.image_id, {"sent": "all"})


@pytest.mark.parametrize("other_goes_on", [True, False])
def test_a_claim_whose_record_redis_lost_may_be_anothers(settings, *, other_goes_on: bool) -> None:
    """Another request began under an id of its own, before the heartbeat: the first stops."""
    one, other = (Intake(open_store(settings), settings) for _ in range(2))
    first = claim(one)
    with first.held():
        one.client.delete(first._record)
        second = claim(other)
        if not other_goes_on:
            second.leave()
        one.claims._renew([(first._owner, first._claim())])
        with pytest.raises(StillRunning):
            first.refuse_if_lost()
    assert other.client.hget(second._record, "id").decode() == second.image_id != first.image_id


def test_a_heartbeat_claims_nothing_anew_that_a_request_let_go_of(settings) -> None:
    """The request was refused, or broke off, while the heartbeat was on its way: all stays as it was left."""
    intake = Intake(open_store(settings), settings)
    for refused in (True, False):
        first = claim(intake)
        with first.held():
            late = [(first._owner, first._claim())]
            first.leave(refused=refused)
            left = intake.client.hgetall(first._record)
        intake.claims._renew(late)
        assert intake.client.hgetall(first._record) == left
        assert b"owner" not in left
        claim(intake).leave(refused=True)


def test_a_batch_that_was_taken_over_keeps_no_list_over_the_others(settings) -> None:
    """An API process was frozen, another did the batch: the first answers 409, and a repeat gets the other's answer."""
    one, other = (Intake(open_store(settings), settings) for _ in range(2))
    first = claim(one)
    frozen = UploadBatch(one, Wanted(batch_id=first.image_id), "", first)
    frozen.take(Sent(JPEG, "first.jpg"))
    one.client.hset(first._record, "until", 0)
    second = claim(other)
    whole = UploadBatch(other, Wanted(batch_id=second.image_id), "", second)
    for name in ("first.jpg", "second.jpg"):
        whole.take(Sent(JPEG, name))
    whole.keep()
    second.remember({"sent": "all"})
    with pytest.raises(StillRunning):
        frozen.keep()
    third = claim(one)
    repeated = UploadBatch(one, Wanted(batch_id=third.image_id), "", third)
    repeated.recall()
    assert (third.replay, repeated.files) == ({"sent": "all"}, whole.files)
    assert len(whole.files) == 2


def test_an_answer_that_was_sent_stays(settings) -> None:
    """What fails after the picture was accepted, as while its client waits, frees no key."""
    intake = Intake(open_store(settings), settings)
    first = claim(intake)
    first.remember({"status": 202})
    first.leave(refused=True)
    assert claim(intake).replay == {"status": 202}
