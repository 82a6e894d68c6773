"""Errors, settings, logs, metrics, clock, threads, retrying. May use: no other room.

Also child processes (``supervisor``), and credentials in files that may change (``credentials``).
"""
