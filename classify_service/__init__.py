"""Classifies pictures and their objects, and embeds their faces."""
