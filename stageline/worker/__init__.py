"""A worker: loop, retries, heartbeat, health. May use: core, store, registry, pipeline, broker, maintenance.

``main`` runs a stage. ``loop`` is its main thread; ``prefetcher`` and ``committer`` are the threads around that.
"""
