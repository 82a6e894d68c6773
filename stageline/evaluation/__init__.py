"""Evaluates the line on labelled pictures. May use: core, imaging, store, registry, inference, pipeline, local.

Data sets, average precision, correctness of categories, and advice on settings.
"""
