"""Draws what was found, and hides what is private."""
