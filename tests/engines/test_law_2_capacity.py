"""Law 2: capacity units of beats and exchanges, as MiniStack counts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engines.capacity import consumed
from tests.engines.steady_hosts import know_environment, steady
from tests.functional.api import Host, Tenant
from tests.functional.laws import beats
from tests.functional.laws.item_size import size_of
from tests.functional.laws.request_counter import counted
from tests.functional.laws.signing_requests import csr_of

Story = Callable[[Tenant, Host, Any], beats.Beat]
KEY = "k" * 43
JOB = "job_" + "0" * 20


@pytest.fixture
def host(tenant: Tenant) -> Host:
    """A host that beats steadily, on a worker that knows its environment."""
    return steady(tenant)


# Outcome; write units and read units of one beat; and of the same refusal later in the minute.
BEATS: list[tuple[Story, str | None, tuple[int, int], tuple[int, int]]] = [
    (beats.steady, None, (1, 0), (0, 0)),
    (beats.repeated, None, (1, 0), (0, 0)),
    (beats.first_beat, None, (7, 0), (0, 0)),
    (beats.back_online, None, (7, 0), (0, 0)),
    (beats.restarted, None, (6, 0), (0, 0)),
    (beats.unknown_agent, "agent_not_found", (3, 0), (1, 0)),
    (beats.superseded, "key_superseded", (3, 0), (1, 0)),
    (beats.revoked, "key_revoked", (3, 0), (1, 0)),
    (beats.quarantined, "agent_quarantined", (3, 0), (1, 0)),
    (beats.without_scope, "scope_missing", (3, 0), (1, 0)),
    (beats.stale, "sequence_stale", (3, 0), (1, 0)),
    (beats.too_soon, "heartbeat_too_soon", (3, 0), (1, 0)),
    (beats.unknown_status, "status_unknown", (1, 0), (1, 0)),
    (beats.another_collector, "key_wrong_collector", (2, 1), (0, 1)),
    (beats.forged, "key_invalid", (0, 0), (0, 0)),
    (beats.malformed, "key_invalid", (0, 0), (0, 0)),
    (beats.expired, "key_expired", (0, 0), (0, 0)),
    (beats.anothers, "key_wrong_agent", (0, 0), (0, 0)),
    (beats.wrong_family, "wrong_credential_family", (0, 0), (0, 0)),
    (beats.invalid_body, "validation_failed", (0, 0), (0, 0)),
]


@pytest.mark.parametrize(
    ("story", "code", "once", "again"), BEATS, ids=[row[0].__name__ for row in BEATS]
)
def test_the_units_of_each_outcome_of_a_beat(
    tenant: Tenant,
    host: Host,
    story: Story,
    code: str | None,
    once: tuple[int, int],
    again: tuple[int, int],
) -> None:
    beat = story(tenant, host, tenant.api.clock)
    with consumed() as first:
        answer = beat()
    assert (answer.code, first.total) == (code, once), answer.body
    if code is not None:
        with consumed() as later:
            assert beat().code == code
        assert later.total == again


def test_a_steady_beat_writes_one_unit_and_three_when_its_bucket_changes(
    tenant: Tenant, host: Host
) -> None:
    clock = tenant.api.clock
    written = []
    for _ in range(50):
        know_environment(tenant)
        with consumed() as units:
            assert host.beat().status == 200
        assert all(request.measured for request in units.requests)
        written.append(units.written)
        clock.advance(seconds=60)
    same, changed = {"agent_presence": 1}, {"agent_presence": 1, "agent_presence/overdue": 2}
    # Beats a minute apart, buckets of five minutes: one beat in five moves in the index.
    assert [units == changed for units in written] == [False, True, False, False, False] * 10
    assert all(units in (same, changed) for units in written)
    assert sum(sum(units.values()) for units in written) / len(written) == 1.4


def test_the_control_row_is_one_read_unit_in_ten_seconds(tenant: Tenant) -> None:
    """For all agents of the environment on a worker, however many they are."""
    hosts = [steady(tenant) for _ in range(3)]
    tenant.api.clock.advance(seconds=60)
    with consumed() as units:
        for host in hosts:
            assert host.beat().status == 200
    assert units.read == {"organizations": 1}


# Of each item of the transaction two units, for each is below 1 KB; one for each index entry.
EXCHANGE = {
    "agent_enrollment_tokens": 4,  # the use; the receipt
    "agent_enrollment_tokens/by_environment": 1,  # the list shows the uses
    "agent_identities": 4,  # the identity; the reservation of its name
    "agent_identities/by_environment": 1,
    "agent_identities/by_token": 1,
    "agent_presence": 2,
    "audit_records": 2,
    "audit_records/by_resource": 1,
}


def test_an_exchange_writes_sixteen_units(tenant: Tenant) -> None:
    token = tenant.mint()["token"]
    with consumed() as units, counted() as requests:
        assert tenant.exchange(token, idempotency_key=KEY).status == 201
    assert units.written == EXCHANGE
    assert units.total == (16, 3)
    assert units.read == {"agent_enrollment_tokens": 2, "organizations": 1}
    assert requests.operations == ["BatchGetItem", "GetItem", "TransactWriteItems"]
    # MiniStack counts as DynamoDB's rules have it: twice each item, and once each index entry.
    (transaction,) = requests.transactions
    parts = transaction.body["TransactItems"]
    puts = [part["Put"]["Item"] for part in parts if "Put" in part]
    assert [kind for kind, _ in transaction.parts].count("Update") == 1
    assert len(puts) == len(parts) - 1 == 5
    assert all(size_of(item) <= 1024 for item in puts)
    assert sum(number for name, number in EXCHANGE.items() if "/" not in name) == 2 * len(parts)


def test_an_exchange_writes_no_receipt_that_nobody_asked_for(tenant: Tenant) -> None:
    token = tenant.mint()["token"]
    with consumed() as units:
        assert tenant.exchange(token).status == 201
    assert units.written == {**EXCHANGE, "agent_enrollment_tokens": 2}


def test_an_exchange_with_a_certificate_writes_one_item_more(tenant: Tenant) -> None:
    token = tenant.mint()["token"]
    with consumed() as units:
        assert tenant.exchange(token, idempotency_key=KEY, csr=csr_of()).status == 201
    assert units.written == {**EXCHANGE, "agent_device_certificates": 2}


def test_an_exchange_of_a_token_of_many_uses_writes_no_index_of_it(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=1_000)["token"]
    with consumed() as units:
        assert tenant.exchange(token, idempotency_key=KEY).status == 201
    without = {name: n for name, n in EXCHANGE.items() if "tokens/" not in name}
    assert units.written == without
    # The token, the receipt and its sixteen counter rows; the environment.
    assert units.read == {"agent_enrollment_tokens": 18, "organizations": 1}
