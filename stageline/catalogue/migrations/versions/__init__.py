"""One file per step; to add one, copy the latest and set down_revision to it."""
