"""Measurements that decide how Stageline is built, each run as `python -m benchmarks.<name>`."""
