"""Reaper, reconcile, deletion. May use: core, imaging, store, registry, pipeline, broker, catalogue.

``reaper`` returns what dead workers held; ``reconcile`` finds lost pictures; ``deletion`` removes all of one.
"""
