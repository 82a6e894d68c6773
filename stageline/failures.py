"""What becomes of a picture that failed at a stage: it is retried later, or buried."""

from stageline import dead, logs, metrics, results
from stageline.errors import BadMessage, Rejected, Unavailable
from stageline.item import Item
from stageline.patience import patiently
from stageline.queue import Consumer, back_off
from stageline.settings import Settings
from stageline.status import stage_fields
from stageline.store import ObjectStore

UNAVAILABLE_SECONDS = 5.0


class Failures:
    """Retries what a retry may mend, up to MAX_ATTEMPTS; the rest becomes a dead letter, and its results say failed."""

    def __init__(self, consumer: Consumer, store: ObjectStore, settings: Settings) -> None:
        self._consumer = consumer
        self._store = store
        self._settings = settings
        self._stage = consumer.stage.name

    def settle(self, item: Item, error: Exception) -> None:
        """Retry or bury; wait for servers that are away."""
        if isinstance(error, Unavailable):  # no fault of the picture's: no attempt is counted
            raw = item.message.raw
            patiently(lambda: self._consumer.delay(raw, raw, UNAVAILABLE_SECONDS))
        elif isinstance(error, Rejected) or item.message.attempt >= self._settings.max_attempts:
            self._bury(item, error)
        else:
            self._retry(item, error)

    def _retry(self, item: Item, error: Exception) -> None:
        message = item.message
        pause = back_off(message.attempt, self._settings.retry_base_seconds, self._settings.retry_cap_seconds)
        entry = {**item.entry("retrying", self._consumer.identity), "reason": _reason(error)}
        fields = stage_fields(self._stage, entry)
        patiently(lambda: self._consumer.delay(message.raw, message.retried().raw, pause, message.image_id, fields))
        self._log("retrying", item, error, retry_in=round(pause, 1))

    def _bury(self, item: Item, error: Exception) -> None:
        message, reason = item.message, _reason(error)
        entry = {**item.entry("failed", self._consumer.identity), "reason": reason}
        patiently(lambda: self._store.put(results.failed(message, self._stage, reason, entry)))
        whole = None if isinstance(error, BadMessage) else message
        letter = dead.letter(self._stage, message.raw, reason, item.trace, message=whole, attempt=message.attempt)
        fields = {**stage_fields(self._stage, entry, "failed"), "reason": reason}
        patiently(lambda: self._consumer.bury(message.raw, letter, message.image_id, fields))
        self._log("buried", item, error)

    def _log(self, outcome: str, item: Item, error: Exception, **more: object) -> None:
        metrics.PICTURES.labels(self._stage, outcome).inc()
        logs.get().error(
            outcome,
            image_id=item.message.image_id,
            stage=self._stage,
            attempt=item.message.attempt,
            reason=_reason(error),
            traceback=None if isinstance(error, Rejected) else item.trace,
            **more,
        )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, Rejected) else f"{type(error).__name__}: {error}"
