"""Judging the line on labelled pictures. May use: core, imaging, store, registry, inference, pipeline, local.

Data sets, average precision, categories held against labels, and which settings would do better.
"""
