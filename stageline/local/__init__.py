"""The line on one machine, with its servers. May use: core, store, registry, pipeline, worker.

``up`` starts every process of the line; ``monolith`` is the whole chain in one process.
"""
