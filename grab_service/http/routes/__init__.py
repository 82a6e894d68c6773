"""The routes of the API, by group."""
