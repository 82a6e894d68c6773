"""Measures a picture's transitions: accept, begin, hand on, begin and finish, each in its own round trip.

CPU time, of this process and of Redis, as it is the same on a machine that is busy.

In a checkout of another version it measures that version's. Run: python -m benchmarks.transitions REDIS_URL
"""

import statistics
import sys
import time

from stageline.broker import transitions
from stageline.broker.consumer import Consumer
from stageline.broker.producer import Producer
from stageline.pipeline import line, results
from stageline.pipeline.message import Message

ROUNDS, PICTURES = 15, 100
ENTRY = {"state": "done", "run": 1, "attempt": 1, "worker": "w", "ms": 3.0, "key": "tagged/a.jpg", "keys": []}
FOUND = {"label": "dog", "score": 0.91, "box": [12.0, 40.5, 310.2, 222.8], "model": "yolox-nano@0.1.1-1"}
BEGINNING, END = line.LINE[-2], line.LINE[-1]


def _round(producer: Producer, consumers: tuple[Consumer, Consumer], number: int) -> dict[str, float]:
    """Return the CPU microseconds of this process, per picture, of each transition."""
    took = dict.fromkeys(("accept", "begin", "hand_off", "finish"), 0.0)
    first, last = consumers
    for picture in range(PICTURES):
        fields = {"image_id": f"{number}-{picture}", "original_path": "original/a.jpg", "sha256": f"{number}{picture}"}
        message = Message.of({**fields, "filename": "a.jpg", "detections": [FOUND] * 8})
        successor = message.successor(BEGINNING.name, ENTRY, {})
        document = results.document(successor, "completed")
        began = time.process_time()
        producer.accept(message)
        took["accept"] += time.process_time() - began
        producer.client.lpop(line.LINE[0].queue)
        for consumer, held in ((first, message), (last, successor)):
            consumer.client.rpush(f"stageline:inflight:{consumer.identity}", held.raw)
        began = time.process_time()
        first.begin([(message, transitions.begun(message, BEGINNING.name, ENTRY))])
        took["begin"] += time.process_time() - began
        began = time.process_time()
        first.scripts.run(first.hand_off(message, successor, transitions.done(message, BEGINNING.name, ENTRY)))
        took["hand_off"] += time.process_time() - began
        began = time.process_time()
        last.scripts.run(last.finish(successor, transitions.ended(successor, END.name, ENTRY, document)))
        took["finish"] += time.process_time() - began
    return {name: seconds / PICTURES * 1e6 for name, seconds in took.items()}


def main() -> None:
    """Print the median of the rounds, in microseconds."""
    url = sys.argv[1]
    producer = Producer(url, 10**9)
    producer.client.flushdb()
    consumers = Consumer(url, BEGINNING, "a", 60), Consumer(url, END, "b", 60)
    _round(producer, consumers, -1)  # from now on Redis knows every script
    before = _redis_seconds(producer)
    rounds = [_round(producer, consumers, number) for number in range(ROUNDS)]
    redis_us = (_redis_seconds(producer) - before) / ROUNDS / PICTURES * 1e6
    medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    print(", ".join(f"{name} {each:.0f} µs" for name, each in medians.items()), f"; Redis {redis_us:.0f} µs a picture")


def _redis_seconds(producer: Producer) -> float:
    known = producer.client.info("cpu")
    return float(known["used_cpu_user"]) + float(known["used_cpu_sys"])


if __name__ == "__main__":
    main()
