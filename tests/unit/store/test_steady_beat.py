"""The beat's expressions are written out by hand: they must not drift from the model."""

import re

import msgspec
import pytest

from chalicelib.store import presence_writes
from chalicelib.store.agent_presence import AgentPresenceItem

_WORDS = {"SET", "AND", "OR", "contains", "attribute", "not", "exists"}
_BEAT = presence_writes.Beat(
    organization="org_1", agent="agt_1", key=b"k", scope="s", sequence=1, nonce="n", instance="i",
    version="v", unpersisted=False, facts=b"f", source_address="192.0.2.1", now=1,
    next_allowed=2, due="d",
)  # fmt: skip


_WITHOUT_FACTS = msgspec.structs.replace(_BEAT, facts=None)


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"(?<![:\w])[A-Za-z]+", expression.replace("_", " "))) - _WORDS


def test_they_name_attributes_of_the_model() -> None:
    stored = {one.attr_name for one in AgentPresenceItem.get_attributes().values()}
    condition = presence_writes._condition(_BEAT, with_news=False)
    assert names_in(presence_writes._HEARD) | names_in(condition) <= stored


def test_a_beat_sets_what_the_slow_path_sets_too() -> None:
    slow = {str(action.values[0]) for action in presence_writes._beat_actions(_BEAT)}
    assert names_in(presence_writes._HEARD) == slow


@pytest.mark.parametrize("beat", [_BEAT, _WITHOUT_FACTS])
@pytest.mark.parametrize("with_news", [False, True])
def test_every_value_is_given_and_none_in_vain(
    beat: presence_writes.Beat, *, with_news: bool
) -> None:
    condition = presence_writes._condition(beat, with_news=with_news)
    used = re.findall(r":[a-z]+", presence_writes._HEARD + " " + condition)
    assert set(used) == set(presence_writes._values(beat, with_news=with_news))


def test_only_who_has_nothing_to_hear_is_steady() -> None:
    assert "attribute_not_exists(r)" in presence_writes._condition(_BEAT, with_news=False)
    assert "f = :facts" in presence_writes._condition(_BEAT, with_news=False)
    assert "f = :facts" not in presence_writes._condition(_WITHOUT_FACTS, with_news=False)
