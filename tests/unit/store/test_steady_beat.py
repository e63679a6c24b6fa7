"""The beat's expressions are written out by hand: they must not drift from the model."""

import re

from chalicelib.store import presence_writes
from chalicelib.store.agent_presence import AgentPresenceItem

_WORDS = {"SET", "AND", "OR", "contains"}
_BEAT = presence_writes.Beat(
    organization="org_1", agent="agt_1", key=b"k", scope="s", sequence=1, nonce="n", instance="i",
    version="v", unpersisted=False, now=1, next_allowed=2, due="d",
)  # fmt: skip


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"(?<![:\w])[A-Za-z]+", expression)) - _WORDS


def test_they_name_attributes_of_the_model() -> None:
    stored = {one.attr_name for one in AgentPresenceItem.get_attributes().values()}
    named = names_in(presence_writes._HEARD) | names_in(presence_writes._STEADY)
    assert named <= stored


def test_a_beat_sets_what_the_slow_path_sets_too() -> None:
    slow = {str(action.values[0]) for action in presence_writes._beat_actions(_BEAT)}
    assert names_in(presence_writes._HEARD) == slow


def test_every_value_is_given_and_none_in_vain() -> None:
    used = re.findall(r":[a-z]+", presence_writes._HEARD + " " + presence_writes._STEADY)
    assert set(used) == set(presence_writes._values(_BEAT))
