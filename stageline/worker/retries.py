"""Decides how a failed item goes on: it is retried after a pause, or dead-lettered.

``FailureHandler.handle`` decides; the pauses are policies of `stageline.core.retrying`; `Message.retried` makes the
message of the next attempt; `Consumer.delay` runs lua/delay.lua, which delays it.
"""

import logging

from stageline.broker import dead_letters, status, transitions
from stageline.broker.consumer import Consumer
from stageline.broker.redis_client import Result
from stageline.core import metrics
from stageline.core.errors import BadMessage, Rejected, Unavailable
from stageline.core.retrying import LOST_INPUT, SERVER_AWAY, failed_message
from stageline.core.settings import Settings
from stageline.maintenance.deletion import has_results
from stageline.pipeline import results
from stageline.pipeline.message import Message
from stageline.pipeline.results import MOVING
from stageline.store import ObjectStore
from stageline.worker.in_flight import Item, report


class FailureHandler:
    """Retries failures up to MAX_ATTEMPTS; dead-letters the rest, and stores results with the status failed."""

    def __init__(self, consumer: Consumer, store: ObjectStore, settings: Settings) -> None:
        self._consumer = consumer
        self._store = store
        self._settings = settings
        self._stage = consumer.stage.name

    def handle(self, item: Item, error: Exception) -> bool:
        """Retry or dead-letter an item, waiting for servers; return False when the item is superseded."""
        if isinstance(error, Unavailable):  # a server was away, so no attempt is counted
            raw = item.message.raw
            return SERVER_AWAY.call(lambda: self._consumer.delay(raw, raw, LOST_INPUT.pause(1))) != Result.SUPERSEDED
        if isinstance(error, Rejected) or item.message.attempt >= self._settings.max_attempts:
            return self._dead_letter(item, error)
        return self._retry(item, error)

    def _retry(self, item: Item, error: Exception) -> bool:
        message = item.message
        policy = failed_message(self._settings.retry_base_seconds, self._settings.retry_cap_seconds)
        pause = policy.pause(message.attempt)
        entry = {**item.entry("retrying", self._consumer.identity), "reason": _reason(error)}
        again = message.retried(self._stage, entry).raw
        effects = transitions.retrying(message, self._stage, entry)
        self._log("retrying", item, error, retry_in=round(pause, 1))
        return SERVER_AWAY.call(lambda: self._consumer.delay(message.raw, again, pause, effects)) != Result.SUPERSEDED

    def _dead_letter(self, item: Item, error: Exception) -> bool:
        message, reason = item.message, _reason(error)
        if SERVER_AWAY.call(lambda: self._consumer.superseded([message]))[0]:
            return False
        self._log(metrics.DEAD_LETTERED, item, error)
        entry = {**item.entry("failed", self._consumer.identity), "reason": reason}
        whole = None if isinstance(error, BadMessage) else message
        letter = dead_letters.encode(self._stage, message.raw, reason, item.trace, message=whole, entry=entry)
        if whole is None and not self._is_on_its_way(message):
            SERVER_AWAY.call(lambda: self._consumer.dead_letter(message.raw, letter))
            return True
        document = results.failure(message, self._stage, reason, entry)
        effects = transitions.failed(message, self._stage, entry, document)
        if message.is_probe:
            step = self._consumer.finish(message, effects)
            return int(SERVER_AWAY.call(lambda: self._consumer.scripts.run(step))) != Result.SUPERSEDED
        SERVER_AWAY.call(lambda: self._store.put(results.stored(document)))
        answer = SERVER_AWAY.call(lambda: self._consumer.dead_letter(message.raw, letter, message, effects))
        if answer == Result.NOT_HELD:
            SERVER_AWAY.call(lambda: self._consumer.recheck(message, "failed"))
        return answer != Result.SUPERSEDED

    def _is_on_its_way(self, message: Message) -> bool:
        """Whether a bad message may be a picture's own; otherwise it only has the id of a picture that ended."""
        known = SERVER_AWAY.call(lambda: status.read(self._consumer.client, message.image_id))
        if known is not None:
            return known.get("status") in MOVING
        return not SERVER_AWAY.call(lambda: has_results(self._store, message.image_id))

    def _log(self, outcome: str, item: Item, error: Exception, **more: object) -> None:
        trace = None if isinstance(error, Rejected) else item.trace
        report(logging.ERROR, outcome, item, self._stage, reason=_reason(error), traceback=trace, **more)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, Rejected) else f"{type(error).__name__}: {error}"
