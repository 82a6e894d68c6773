"""Decoding and encoding pictures within limits. May use: core.

Only ``codec`` is for other rooms. The other modules are its parts: what JPEG, PNG and WebP files hold beside pixels,
damage, EXIF, colour profiles, and a budget of memory.
"""
