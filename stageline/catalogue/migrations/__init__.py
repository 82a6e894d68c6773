"""The catalogue's schema, step by step. Steps only add: readers and writers of the version before keep working."""
