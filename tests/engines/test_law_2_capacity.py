"""Law 2: capacity units of each route and outcome, as MiniStack counts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib import runtime
from chalicelib.credentials import enrollment_token
from chalicelib.store.attempts import MOST_A_MINUTE
from tests.engines.capacity import consumed
from tests.engines.in_process import BUCKET_MS, app_on_ministack
from tests.functional.api import Answer, Api, Host, Tenant
from tests.functional.laws import beats
from tests.functional.laws.item_size import size_of
from tests.functional.laws.request_counter import counted
from tests.functional.laws.signing_requests import csr_of
from tests.functional.laws.stories import ARTIFACT
from tests.functional.world import organization_key_with

Story = Callable[[Tenant, Host, Any], beats.Beat]
KEY = "k" * 43
JOB = "job_" + "0" * 20


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The app in this process."""
    with app_on_ministack(tmp_path_factory.mktemp("capacity")) as running:
        yield running


@pytest.fixture
def tenant(api: Api) -> Tenant:
    """A fresh organization; its agents beat each minute, as they do by default."""
    clock = api.clock
    clock.now += BUCKET_MS - clock.now % BUCKET_MS
    return api.new_tenant()


@pytest.fixture
def host(tenant: Tenant) -> Host:
    """A host that beats steadily, on a worker that knows its environment."""
    return steady(tenant)


def steady(tenant: Tenant) -> Host:
    """A host whose next beat is due, and changes no bucket."""
    host = tenant.enroll()
    assert host.beat().status == 200
    tenant.api.clock.advance(seconds=60)
    know_environment(tenant)
    return host


def know_environment(tenant: Tenant) -> None:
    """Let the worker look at the control row, so that no story pays for it."""
    runtime.current().controls.of(tenant.organization, tenant.environment, tenant.api.clock.now)


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


def mint(tenant: Tenant) -> Callable[[], Answer]:
    body = {"environment": tenant.environment}
    return lambda: tenant.call("POST", "/agent-enrollment/tokens", body)


def replay(tenant: Tenant) -> Callable[[], Answer]:
    token = tenant.mint()["token"]
    tenant.exchange(token, idempotency_key=KEY)
    return lambda: tenant.exchange(token, idempotency_key=KEY)


def spent(tenant: Tenant) -> Callable[[], Answer]:
    token = tenant.mint()["token"]
    tenant.exchange(token, idempotency_key=KEY)
    return lambda: tenant.exchange(token, idempotency_key="l" * 43)


def spent_again(tenant: Tenant) -> Callable[[], Answer]:
    ask = spent(tenant)
    ask()
    return ask


def spent_in_a_flood(tenant: Tenant) -> Callable[[], Answer]:
    ask = spent(tenant)
    for _ in range(MOST_A_MINUTE + 1):
        ask()
    return ask


def guessed(tenant: Tenant) -> Callable[[], Answer]:
    token = tenant.mint()["enrollment_token_id"]
    raw = enrollment_token.FAMILY.issue(tenant.organization, token)
    return lambda: tenant.exchange(raw, idempotency_key=KEY)


def denied(tenant: Tenant) -> Callable[[], Answer]:
    weak = organization_key_with(tenant, {"jobs:read"})
    tenant.api.call("GET", f"/api/v1/jobs/{JOB}", credential=weak)  # Its use is noted.
    return lambda: tenant.api.call("GET", "/api/v1/agents", credential=weak)


def denied_again(tenant: Tenant) -> Callable[[], Answer]:
    ask = denied(tenant)
    ask()
    return ask


def denied_a_third_time(tenant: Tenant) -> Callable[[], Answer]:
    ask = denied_again(tenant)
    ask()
    return ask


def no_token(tenant: Tenant) -> Callable[[], Answer]:
    return lambda: tenant.exchange("rce_junk", idempotency_key=KEY)


def revoke_agent(tenant: Tenant) -> Callable[[], Answer]:
    path = f"/agents/{steady(tenant).agent_id}/revoke"
    return lambda: tenant.call("POST", path, {})


def revoke_token(tenant: Tenant) -> Callable[[], Answer]:
    path = f"/agent-enrollment/tokens/{tenant.mint()['enrollment_token_id']}/revoke"
    return lambda: tenant.call("POST", path, {})


def announce(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    return lambda: host.call("POST", "/artifacts", ARTIFACT)


def artifact(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    return lambda: host.call("GET", "/artifacts/art_" + "0" * 20)


ROUTES: list[tuple[Callable[[Tenant], Callable[[], Answer]], int, tuple[int, int]]] = [
    (mint, 201, (6, 2)),
    (replay, 200, (9, 4)),
    (spent, 410, (5, 5)),
    (spent_again, 410, (3, 5)),
    (spent_in_a_flood, 410, (2, 5)),
    (guessed, 401, (3, 2)),
    (denied, 403, (8, 2)),
    (denied_again, 403, (2, 2)),
    (denied_a_third_time, 403, (1, 2)),
    (no_token, 401, (0, 0)),
    (revoke_agent, 200, (13, 4)),
    (revoke_token, 200, (6, 3)),
    (announce, 201, (7, 2)),
    (artifact, 404, (0, 2)),
]


@pytest.mark.parametrize(
    ("route", "status", "total"), ROUTES, ids=[row[0].__name__ for row in ROUTES]
)
def test_the_units_of_the_other_routes(
    tenant: Tenant,
    route: Callable[[Tenant], Callable[[], Answer]],
    status: int,
    total: tuple[int, int],
) -> None:
    call = route(tenant)
    with consumed() as units:
        answer = call()
    assert answer.status == status, answer.body
    assert units.total == total, units.requests
