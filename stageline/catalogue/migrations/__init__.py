"""The catalogue's schema, step by step. A step only adds: readers and writers of the version before go on working."""
