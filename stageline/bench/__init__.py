"""Measures models: their speed and memory on each runtime. May use: core, imaging, registry, inference."""
