"""Stages and their table, messages, schema, results. May use: core, imaging, store, registry.

No module here talks to Redis: ``broker`` moves messages, and ``worker`` runs stages.
"""
