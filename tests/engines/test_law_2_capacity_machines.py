"""Law 2: capacity units of what knows machines and facts, as MiniStack counts them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chalicelib.store.machines import MOST_AGENTS
from tests.engines.capacity import consumed
from tests.engines.steady_hosts import steady
from tests.functional.api import Answer, Host, Tenant

KEY = "k" * 43
MACHINE = "canary-machine"
HOUR = 3_600


def _known(tenant: Tenant, **said: str) -> Host:
    host = tenant.enroll(machine_id=MACHINE, **said)
    assert host.beat().status == 200
    return host


def exchange(tenant: Tenant) -> Callable[[], Answer]:
    token = tenant.mint()["token"]
    return lambda: tenant.exchange(token, idempotency_key=KEY, machine_id=MACHINE)


def exchange_that_may_replace(tenant: Tenant) -> Callable[[], Answer]:
    token = tenant.mint(replace_machine=True)["token"]
    return lambda: tenant.exchange(token, idempotency_key=KEY, machine_id=MACHINE)


def exchange_beside_nineteen(tenant: Tenant) -> Callable[[], Answer]:
    for number in range(MOST_AGENTS - 1):
        _known(tenant, hostname=f"host-{number}")
    return exchange(tenant)


def exchange_that_replaces(tenant: Tenant) -> Callable[[], Answer]:
    _known(tenant)
    tenant.api.clock.advance(seconds=2 * HOUR + 1)
    return exchange_that_may_replace(tenant)


def revoke(tenant: Tenant) -> Callable[[], Answer]:
    path = f"/agents/{_known(tenant).agent_id}/revoke"
    return lambda: tenant.call("POST", path, {})


def replace(tenant: Tenant) -> Callable[[], Answer]:
    former, fresh = _known(tenant, name="former"), _known(tenant, name="fresh")
    path = f"/agents/{fresh.agent_id}/replace"
    return lambda: tenant.call("POST", path, {"former": former.agent_id})


def decommission(tenant: Tenant) -> Callable[[], Answer]:
    host = _known(tenant)
    return lambda: host.call("POST", "/decommission")


def first_facts(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    body = {"facts_sha256": "0" * 64, "facts": {"hostname": "host-1.example"}}
    return lambda: host.call("PUT", "/facts", body)


def the_same_facts(tenant: Tenant) -> Callable[[], Answer]:
    put = first_facts(tenant)
    put()
    tenant.api.clock.advance(seconds=1)
    return put


def facts_of_four_kilobytes(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    facts = {f"fact-{number}": "x" * 100 for number in range(34)}
    body = {"facts_sha256": "0" * 64, "facts": facts}
    return lambda: host.call("PUT", "/facts", body)


# Two units more than without a machine id: the machine's row, in the same transaction.
ROUTES: list[tuple[Callable[[Tenant], Callable[[], Answer]], int, tuple[int, int]]] = [
    (exchange, 201, (18, 3)),
    # Whoever may replace looks at the machine, and at who lives there.
    (exchange_that_may_replace, 201, (18, 4)),
    (exchange_that_replaces, 201, (29, 6)),
    # The machine's row is over 1 KB then.
    (exchange_beside_nineteen, 201, (20, 3)),
    (revoke, 200, (15, 6)),
    (replace, 200, (21, 8)),
    (decommission, 200, (15, 2)),
    (first_facts, 200, (7, 4)),
    (the_same_facts, 200, (0, 4)),
    (facts_of_four_kilobytes, 200, (15, 4)),
]


@pytest.mark.parametrize(
    ("route", "status", "total"), ROUTES, ids=[row[0].__name__ for row in ROUTES]
)
def test_the_units_of_machines_and_facts(
    tenant: Tenant,
    route: Callable[[Tenant], Callable[[], Answer]],
    status: int,
    total: tuple[int, int],
) -> None:
    call = route(tenant)
    tenant.call("GET", "/agents?limit=1")  # The key's use is noted once an hour.
    with consumed() as units:
        answer = call()
    assert answer.status == status, answer.body
    assert units.total == total, units.requests
