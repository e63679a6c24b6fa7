"""A batch binds everything that stands in it to its header."""

import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from chalicelib.evidence import sealed_batch
from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.record_form import export_line, form_hash, record_form
from chalicelib.evidence.sealed_batch import Leaf

DAY_MS = 86_400_000
LEAVES = [Leaf(f"aud_{number}", 1_780_000_000_000 + number, "ab" * 32) for number in range(3)]


def batch() -> sealed_batch.SealedBatch:
    header = sealed_batch.header_of(
        "org_1", 7, bytes(32), LEAVES, sealed_at=1_780_000_060_000, retained_ms=400 * DAY_MS
    )
    return sealed_batch.signed(header, LEAVES, b"signature")


def test_what_is_written_is_read_again() -> None:
    made = batch()
    raw = sealed_batch.written(made)
    assert sealed_batch.parsed(raw) == made
    assert made.flaw() is None
    assert b"\n" not in raw
    assert made.header.digest() == sealed_batch.parsed(raw).header.digest()
    assert made.header.retain_until == "2027-07-02T20:26:40.002Z"


def _tampered(change: Any) -> sealed_batch.SealedBatch:
    plain = json.loads(sealed_batch.written(batch()))
    change(plain)
    return sealed_batch.parsed(json.dumps(plain))


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain["leaves"].pop(),
        lambda plain: plain["leaves"].reverse(),
        lambda plain: plain["leaves"].append(plain["leaves"][0]),
        lambda plain: plain["leaves"][0].__setitem__(0, "aud_9"),
        lambda plain: plain["leaves"][0].__setitem__(1, 1),
        lambda plain: plain["leaves"][0].__setitem__(2, "cd" * 32),
        lambda plain: plain["leaves"][0].__setitem__(2, "no hash"),
        lambda plain: plain["header"].__setitem__("version", 2),
        lambda plain: plain["header"].__setitem__("count", 4),
        lambda plain: plain["header"].__setitem__("root", "cd" * 32),
    ],
)
def test_every_change_of_the_leaves_shows(change: Any) -> None:
    assert _tampered(change).flaw() is not None


@pytest.mark.parametrize("member", msgspec.structs.fields(sealed_batch.Header))
def test_every_member_of_the_header_is_signed(member: Any) -> None:
    header = batch().header
    other: Any = 99 if member.type is int else "other"
    changed = msgspec.structs.replace(header, **{member.name: other})
    assert changed.digest() != header.digest()


def test_members_that_nobody_signed_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        _tampered(lambda plain: plain["header"].__setitem__("note", "x"))
    with pytest.raises(msgspec.ValidationError):
        _tampered(lambda plain: plain.__setitem__("note", "x"))


def test_one_value_has_one_spelling() -> None:
    assert canonical({"b": [1, None, True], "a": "ü\n"}) == b'{"a":"\\u00fc\\n","b":[1,null,true]}'
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(float("nan"))


def record(**changes: Any) -> Any:
    row = {
        "id": "aud_1", "at": 1_780_000_000_123, "event": "agent.online", "outcome": "success",
        "reason": None, "project": "prj_1", "environment": None, "actor_type": "agent",
        "actor_id": "agt_1", "actor_credential": None, "resource_type": "agent",
        "resource_id": "agt_1", "request_id": "r", "source_address": "192.0.2.1",
        "detail": {"previous": "enrolled", "agent_id": "agt_1"},
    }  # fmt: skip
    return SimpleNamespace(**{**row, **changes})


def test_an_exports_line_hashes_to_the_leaf_in_whatever_spelling_it_comes() -> None:
    line = export_line(record())
    assert json.loads(line) == record_form(record())
    respelled = json.loads(json.dumps(json.loads(line), indent=3))
    assert form_hash(respelled) == form_hash(record_form(record()))


def test_a_member_without_a_value_that_came_later_is_not_shown() -> None:
    assert record_form(record())["actor"] == {"type": "agent", "id": "agt_1"}
    shown = record_form(record(actor_credential="ses_1"))["actor"]
    assert shown == {"type": "agent", "id": "agt_1", "credential": "ses_1"}
