"""Shrinks pictures for the detector."""
