"""Uploads: forms, batches, idempotency keys, limits. May use: api, line, images."""
