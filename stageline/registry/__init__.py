"""The model registry: cards, versions, install, validation, serving. May use: core, store."""
