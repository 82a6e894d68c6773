"""Writes the outbox events of pictures to the catalogue, and erases expired pictures."""
