"""Writes down in the catalogue what became of each picture, and erases what is past its time."""
