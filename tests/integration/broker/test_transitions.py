"""The Lua files and their names: what a script declares is what it uses, and what a caller must give."""

import re

import pytest

from stageline.broker.keys import BY_NAME
from stageline.broker.redis_client import SHARED, Result, scripts

USED = re.compile(r"\b(key|arg|result)\.(\w+)")
EFFECTS = {"status", "events", "outcomes", "outcomes_since", "minute"}
OF_THE_SHARED = {  # a function of the file that stands before every script → the keys and arguments that it takes
    r"write_effects\(\)": {*EFFECTS, "effects"}, r"superseded\(\)": {"status", "effects"},
    r"(enter|leave)\(": {"unfinished", "pace", "status"}, r"push_outbox_event\(": {"outcomes", "outcomes_since"},
}  # fmt: skip


@pytest.mark.parametrize("name", scripts())
def test_a_script_uses_what_it_declares_and_nothing_else(name: str) -> None:
    """A name that is misspelt would be nil in Lua, and only be seen when that line runs."""
    script = scripts()[name]
    own = script.source[script.source.index(f"-- {'KEYS'}: {', '.join(script.keys)}") :]
    used = {(table, word) for table, word in USED.findall(re.sub(r"--.*", "", own)) if table != "result"}
    taken = {word for call, words in OF_THE_SHARED.items() if re.search(call, own) for word in words}
    assert {word for _, word in used} | taken == set(script.names)
    assert all(word in (script.keys if table == "key" else script.args) for table, word in used)
    answers = {word for table, word in USED.findall(own) if table == "result"}
    assert answers <= {each.name for each in Result}


def test_a_call_gives_what_the_script_declares() -> None:
    """In the declared order, constant keys by themselves; a name too many or too few is no call."""
    script = scripts()["forget"]
    given = {"in_flight": "a list", "identity": "w", "silent_seconds": 60}
    assert script.command(given) == [script.sha, 3, BY_NAME["workers"], BY_NAME["models"], "a list", "w", 60]
    for wrong in ({**given, "lease": 1}, {"in_flight": "a list", "identity": "w"}):
        with pytest.raises(KeyError):
            script.command(wrong)


def test_the_shared_file_is_no_script() -> None:
    """It stands before every one."""
    assert SHARED.removesuffix(".lua") not in scripts()
    assert len(scripts()) > 20
