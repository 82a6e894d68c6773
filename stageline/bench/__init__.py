"""Measuring models: the speed and memory of each runtime. May use: core, imaging, registry, inference."""
