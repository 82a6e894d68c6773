"""Streams of events for watching clients. May use: api, line, images."""
