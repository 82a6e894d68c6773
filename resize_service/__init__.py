"""Makes a picture small enough for the detector."""
