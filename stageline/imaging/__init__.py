"""Decoding and encoding pictures within limits. May use: core.

Other rooms use only ``codec``. The other modules are its parts: metadata of JPEG, PNG and WebP files, damage, EXIF,
colour profiles, and a memory budget.
"""
