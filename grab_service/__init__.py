"""The API: takes uploads, reports their status and runs the reaper."""
