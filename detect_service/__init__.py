"""Finds objects and faces."""
