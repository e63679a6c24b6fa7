import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.api import cursors
from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Malformed, Unavailable

SECRET = json.dumps({"current": "k1", "k1": "a" * 32})
KEYRING = Keyring(lambda: SECRET, lambda: 0)
QUERY = {"limit": "5", "status": "active"}
POSITION = ["env_1", "x#y"]


def handed_out() -> str:
    return cursors.encode(KEYRING, "org_1", "agents", QUERY, POSITION)


def decode(cursor: str, **changed: str) -> list[str] | None:
    """The cursor as it comes back, with parts of its place replaced."""
    given = {**QUERY, "cursor": cursor}
    if "status" in changed:
        given["status"] = changed["status"]
    return cursors.decode(
        KEYRING, changed.get("organization", "org_1"), changed.get("listing", "agents"), given, 2
    )


def test_a_cursor_gives_its_position_back() -> None:
    assert decode(handed_out()) == POSITION


def test_a_list_without_a_cursor_begins() -> None:
    assert cursors.decode(KEYRING, "org_1", "agents", QUERY, 2) is None


@pytest.mark.parametrize(
    ("part", "value"), [("organization", "org_2"), ("listing", "tokens"), ("status", "spent")]
)
def test_a_cursor_serves_no_other_place(part: str, value: str) -> None:
    with pytest.raises(Malformed) as raised:
        decode(handed_out(), **{part: value})
    assert raised.value.code == "cursor_invalid"


def test_a_cursor_is_bound_to_each_parameter() -> None:
    for query in ({}, {"limit": "5"}, {**QUERY, "name": "x"}, {"limit": "active", "status": "5"}):
        with pytest.raises(Malformed):
            cursors.decode(KEYRING, "org_1", "agents", {**query, "cursor": handed_out()}, 2)


def test_the_order_of_the_parameters_does_not_matter() -> None:
    query = {"cursor": handed_out(), **dict(reversed(QUERY.items()))}
    assert cursors.decode(KEYRING, "org_1", "agents", query, 2) == POSITION


def test_a_cursor_with_another_number_of_parts_is_refused() -> None:
    with pytest.raises(Malformed):
        cursors.decode(KEYRING, "org_1", "agents", {**QUERY, "cursor": handed_out()}, 3)


def test_every_single_change_is_noticed() -> None:
    cursor = handed_out()
    for place in range(len(cursor)):
        other = "A" if cursor[place] != "A" else "B"
        with pytest.raises(Malformed):
            decode(cursor[:place] + other + cursor[place + 1 :])


@given(st.text(max_size=100))
def test_junk_is_refused_and_is_never_a_fault(junk: str) -> None:
    for cursor in (junk, f"k1.{junk}", f"k1.{junk}.x", f"k1.W10.{junk}"):
        with pytest.raises(Malformed):
            decode(cursor)


def test_an_unreadable_secret_is_our_fault() -> None:
    broken = Keyring(lambda: "", lambda: 0)
    with pytest.raises(Unavailable):
        cursors.decode(broken, "org_1", "agents", {**QUERY, "cursor": handed_out()}, 2)
