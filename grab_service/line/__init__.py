"""The producer's side of the line: intake, claims, probes, statistics. May use: api."""
