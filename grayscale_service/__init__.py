"""Makes a picture grey."""
