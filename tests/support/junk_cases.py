"""Values that a document's field may hold and should not, for tests."""

JUNK = [
    None, True, False, 0, -1, 2**31, 2**63, 2**70, -(2**70), 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf"),
    "", "x", "\x00", "a\x00b", "\ud800", "\t\n\r\\N\\.", "x" * 100_000, "😀" * 3000, [], [[]], {}, {"a": {"b": []}},
    [None],
    [{}],
    [{"label": {}, "score": "1"}], [{"label": "x", "score": float("nan")}], [["x"] * 4],
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59Z", "2026-11-21",
    {"detect": "x", "x" * 999: {}, "\x00": {"run": 2**80, "attempt": -1, "ms": 1e400}},
    {"detect": {"worker": "a:b", "started": "x", "ms": 1e300, "keys": [1, None, "\x00"], "key": 5}},
    [{"run": 1}, {"run": 1}, {"run": "1"}, {"stage": "x", "run": 3, "reason": "\x00"}],
    [{"embedding": {"key": "findings/../../x.json", "index": 0}}],
    [{"embedding": {"key": "findings/a.json", "index": 10**9}}],
]  # fmt: skip
