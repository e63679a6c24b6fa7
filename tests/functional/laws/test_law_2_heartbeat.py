"""Law 2: what a heartbeat costs, counted by route and outcome on the wire."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import runtime
from chalicelib.credentials import runtime_key
from chalicelib.credentials.opaque import digest
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.instances import MOST_KEPT, earlier
from tests.functional.api import Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import beats, faults
from tests.functional.laws.item_size import size_of
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import presence_of, refusals_of, rows_of, set_presence

_P = AgentPresenceItem
Story = Callable[[Tenant, Host, FrozenClock], beats.Beat]


@pytest.fixture
def host(tenant: Tenant, clock: FrozenClock) -> Host:
    """A host that beats steadily, on a worker that knows its environment."""
    host = tenant.enroll()
    for _ in range(2):
        assert host.beat().status == 200
        clock.advance(seconds=60)
    host.beat()
    clock.advance(seconds=60)
    with_known_environment(tenant, host, clock)
    return host


def with_known_environment(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    """Let the worker look at the control row now, so that no story pays for it."""
    environment = host.enrollment["environment"]
    runtime.current().controls.of(tenant.organization, environment, clock.now)


BEAT, CHANGE, RECORD = ["UpdateItem"], ["UpdateItem", "TransactWriteItems"], ["PutItem"]


# Outcome, its code, the requests of one beat, and of the same refusal later in the same minute
# (a refusal leaves one record a minute). The control row of a cold worker is one GetItem more.
FIGURES: list[tuple[Story, int, str | None, list[str], list[str]]] = [
    (beats.steady, 200, None, BEAT, []),
    (beats.repeated, 200, None, BEAT, []),
    (beats.first_beat, 200, None, CHANGE, []),
    (beats.restarted, 200, None, CHANGE, []),
    (beats.back_online, 200, None, CHANGE, []),
    (beats.unknown_agent, 404, "agent_not_found", BEAT + RECORD, BEAT),
    (beats.superseded, 401, "key_superseded", BEAT + RECORD, BEAT),
    (beats.revoked, 401, "key_revoked", BEAT + RECORD, BEAT),
    (beats.quarantined, 403, "agent_quarantined", BEAT + RECORD, BEAT),
    (beats.without_scope, 403, "scope_missing", BEAT + RECORD, BEAT),
    (beats.without_any_scope, 403, "scope_missing", BEAT + RECORD, BEAT),
    (beats.stale, 409, "sequence_stale", BEAT + RECORD, BEAT),
    (beats.other_nonce, 409, "sequence_stale", BEAT + RECORD, BEAT),
    (beats.too_soon, 429, "heartbeat_too_soon", BEAT + RECORD, BEAT),
    (beats.restarted_too_soon, 429, "heartbeat_too_soon", BEAT + RECORD, BEAT),
    (beats.unknown_status, 503, "status_unknown", BEAT, BEAT),
    (beats.another_collector, 401, "key_wrong_collector", ["GetItem", *RECORD], ["GetItem"]),
    (beats.another_asset, 401, "key_wrong_asset", ["GetItem", *RECORD], ["GetItem"]),
    (beats.forged, 401, "key_invalid", [], []),
    (beats.malformed, 401, "key_invalid", [], []),
    (beats.expired, 401, "key_expired", [], []),
    (beats.anothers, 401, "key_wrong_agent", [], []),
    (beats.wrong_family, 401, "wrong_credential_family", [], []),
    (beats.invalid_body, 400, "validation_failed", [], []),
]


@pytest.mark.parametrize(
    ("story", "status", "code", "once", "again"), FIGURES, ids=[row[0].__name__ for row in FIGURES]
)
def test_the_requests_of_each_outcome(
    tenant: Tenant,
    host: Host,
    clock: FrozenClock,
    story: Story,
    status: int,
    code: str | None,
    once: list[str],
    again: list[str],
) -> None:
    beat = story(tenant, host, clock)
    with counted() as requests:
        answer = beat()
    assert (answer.status, answer.code) == (status, code), answer.body
    assert requests.operations == once
    if status != 200:
        with counted() as requests:
            later = beat()
        assert (later.status, later.code) == (status, code), later.body
        assert requests.operations == again


def test_a_cold_worker_reads_the_control_row_once_in_ten_seconds(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    costs = []
    for seconds in (10, 9.999, 0.001):
        clock.advance(seconds=seconds)
        set_presence(tenant, host.agent_id, _P.next_allowed.set(0))
        with counted() as requests:
            assert host.beat().status == 200
        assert not any(sent.eventually_consistent for sent in requests.sent)
        costs.append(requests.operations)
    assert costs == [["GetItem", "UpdateItem"], ["UpdateItem"], ["GetItem", "UpdateItem"]]


def test_a_beat_without_the_control_row_goes_on_with_the_last_known(
    host: Host, clock: FrozenClock
) -> None:
    clock.advance(seconds=60)
    with faults.injected(faults.DROPPED, on="GetItem", times=faults.ALWAYS):
        assert host.beat().status == 200


def test_the_largest_row_is_below_one_write_unit(tenant: Tenant, clock: FrozenClock) -> None:
    host = tenant.enroll()
    for number in range(20):
        host.instance, host.sequence = f"{number:02d}" * 32, 2**53 - 1
        said = {"nonce": "n" * 64, "agent_version": "\U0001f680" * 128, "unpersisted": True}
        assert host.beat(**said, facts="f" * 64).status == 200
        clock.advance(seconds=15)
    set_presence(
        tenant,
        host.agent_id,
        _P.pending_key.set(b"p" * 32),
        _P.facts.set(b"f" * 32),
        _P.rotation_requested.set(True),
        _P.rotated_at.set(clock.now),
        _P.split.set(b"x" * 8),
        _P.split_keys.set(b"k" * 64),
        _P.released_at.set(clock.now),
        _P.quarantine_reason.set("operator"),
        _P.swept_through.set(clock.now),
        _P.source_address.set("2001:db8:1234:5678:9abc:def0:1234:5678"),
    )
    (row,) = rows_of(tenant, "agent_presence")
    assert len(earlier(presence_of(tenant, host.agent_id))) == MOST_KEPT
    assert set(row) == {one.attr_name for one in _P.get_attributes().values()}
    assert size_of(row) <= 1024, size_of(row)


def test_who_has_something_to_hear_takes_a_second_request(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    """And whoever has nothing to hear, does not: also with facts in every beat."""
    costs = []
    for stored, facts, rotates in (
        ("a", "a", False), ("a", None, False), (None, None, False),
        ("a", "b", False), (None, "a", False), ("a", "a", True), ("a", None, True),
    ):  # fmt: skip
        set_presence(
            tenant,
            host.agent_id,
            _P.facts.set(stored.encode() * 32) if stored else _P.facts.remove(),
            _P.rotation_requested.set(True) if rotates else _P.rotation_requested.remove(),
        )
        said = {"facts": facts.encode().hex() * 32} if facts else {}
        with counted() as requests:
            answer = host.beat(**said)
        told = answer.body["facts_wanted"], answer.body["rotate_key"]
        assert (answer.status, *told) == (200, facts not in (None, stored), rotates)
        costs.append(len(requests.writes))
        assert requests.operations == ["UpdateItem"] * costs[-1]
        clock.advance(seconds=60)
        with_known_environment(tenant, host, clock)
    assert costs == [1, 1, 1, 2, 2, 2, 2]


def test_the_index_is_written_only_when_the_bucket_changes(
    tenant: Tenant, clock: FrozenClock
) -> None:
    clock.now -= clock.now % 300_000
    host = tenant.enroll()
    dues = []
    for _ in range(20):
        assert host.beat().status == 200
        dues.append(presence_of(tenant, host.agent_id).due)
        clock.advance(seconds=60)
    # Beats a minute apart, buckets of five minutes: one beat in five changes the index.
    changes = [new for old, new in itertools.pairwise(dues) if new != old]
    assert len(changes) == 4


@pytest.mark.parametrize(
    "reason", ["key_superseded", "key_revoked", "agent_quarantined", "sequence_stale"]
)
def test_a_refusal_leaves_one_record_a_minute_also_from_many_workers(
    tenant: Tenant, host: Host, clock: FrozenClock, reason: str
) -> None:
    stories: dict[str, Story] = {
        "key_superseded": beats.superseded,
        "key_revoked": beats.revoked,
        "agent_quarantined": beats.quarantined,
        "sequence_stale": beats.stale,
    }
    beat = stories[reason](tenant, host, clock)
    clock.now -= clock.now % 60_000
    for seconds in (0, 1, 58.999, 0.001):
        clock.advance(seconds=seconds)
        # Another worker remembers nothing.
        runtime.use(runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5))
        assert beat().code == reason
    assert refusals_of(tenant, host.agent_id) == [reason, reason]


def test_a_signature_alone_is_no_authority(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    """Whoever has the signing secret can sign, and still is nobody."""
    keyring = runtime.current().keyring
    outcome = runtime_key.read(keyring, host.key, clock.now)
    claims: Any = getattr(outcome, "claims", None)
    real, host.key = host.key, runtime_key.issue(keyring, claims)
    assert digest(real) == presence_of(tenant, host.agent_id).key
    answer = host.beat()
    assert answer.status == 401
    host.key = real
    assert host.beat().status == 200
