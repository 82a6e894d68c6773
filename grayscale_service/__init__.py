"""Converts pictures to grey."""
