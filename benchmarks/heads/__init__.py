"""Measures how many heads the face detector finds, and how many stay visible in the privacy copy."""
