"""Everything in Redis: queues, status, events, dead letters, statistics. May use: core, registry, pipeline.

Each transition of a message is one Lua file in ``lua/``. ``transitions`` composes its side effects, and
``side_effects`` writes them as arguments of the script.
"""
