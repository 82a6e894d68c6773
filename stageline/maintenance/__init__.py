"""Reaper, reconcile, deletion, backup. May use: core, imaging, store, registry, pipeline, broker, catalogue.

``reaper`` returns what dead workers held; ``archive`` and ``unarchive`` are the backup of the buckets.
"""
