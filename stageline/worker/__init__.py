"""Runs a stage: loop, retries, heartbeat, health. May use: core, store, registry, pipeline, broker, maintenance.

``main`` starts a worker. ``loop`` is its main thread; ``prefetcher``, ``committer`` and ``heartbeat`` are the others.
"""
