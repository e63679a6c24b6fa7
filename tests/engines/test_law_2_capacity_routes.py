"""Law 2: capacity units of the routes beside beat and exchange, as MiniStack counts them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chalicelib.credentials import enrollment_token
from chalicelib.permissions import Role
from chalicelib.store.attempts import MOST_A_MINUTE
from tests.engines.capacity import consumed
from tests.engines.steady_hosts import know_environment, steady
from tests.functional.api import Answer, Tenant
from tests.functional.laws.copies import copy_of, noticed
from tests.functional.laws.stories import ARTIFACT
from tests.functional.people import person
from tests.functional.world import organization_key_with

KEY = "k" * 43
JOB = "job_" + "0" * 20


def mint(tenant: Tenant) -> Callable[[], Answer]:
    tenant.mint()  # The key's use is noted once an hour.
    return mint_with_a_fresh_key(tenant)


def mint_with_a_fresh_key(tenant: Tenant) -> Callable[[], Answer]:
    body = {"environment": tenant.environment}
    return lambda: tenant.call("POST", "/agent-enrollment/tokens", body)


def mint_in_a_session(tenant: Tenant) -> Callable[[], Answer]:
    somebody = person(tenant, Role.ORG_ADMIN)
    body = {"environment": tenant.environment}
    somebody.call("POST", "/agent-enrollment/tokens", body)  # Its use is noted, too.
    return lambda: somebody.call("POST", "/agent-enrollment/tokens", body)


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


def quarantine(tenant: Tenant) -> Callable[[], Answer]:
    path = f"/agents/{steady(tenant).agent_id}/quarantine"
    return lambda: tenant.call("POST", path, {})


def release(tenant: Tenant) -> Callable[[], Answer]:
    agent = steady(tenant).agent_id
    tenant.call("POST", f"/agents/{agent}/quarantine", {})
    return lambda: tenant.call("POST", f"/agents/{agent}/release", {"decision": "keep"})


def split(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    other = noticed(tenant, host, tenant.api.clock)
    tenant.call("POST", f"/agents/{host.agent_id}/release", {"decision": "split"})
    body, headers = {"instance": other.instance}, {"Idempotency-Key": KEY}
    return lambda: other.call("POST", "/split", body, headers=headers)


def split_again(tenant: Tenant) -> Callable[[], Answer]:
    ask = split(tenant)
    ask()
    return ask


def rotate(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    return lambda: host.call("POST", "/runtime-key/rotate")


def request_rotation(tenant: Tenant) -> Callable[[], Answer]:
    path = f"/agents/{steady(tenant).agent_id}/runtime-key/request-rotation"
    return lambda: tenant.call("POST", path)


def beat_with_news(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    tenant.call("POST", f"/agents/{host.agent_id}/runtime-key/request-rotation")
    return host.beat


def beat_of_a_copy(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    copy_of(host).beat()
    tenant.api.clock.advance(seconds=60)
    know_environment(tenant)
    return host.beat


def revoke_token(tenant: Tenant) -> Callable[[], Answer]:
    path = f"/agent-enrollment/tokens/{tenant.mint()['enrollment_token_id']}/revoke"
    return lambda: tenant.call("POST", path, {})


def announce(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    return lambda: host.call("POST", "/artifacts", ARTIFACT)


def artifact(tenant: Tenant) -> Callable[[], Answer]:
    host = steady(tenant)
    return lambda: host.call("GET", "/artifacts/art_" + "0" * 20)


Route = Callable[[Tenant], Callable[[], Answer]]
ROUTES: list[tuple[Route, int, tuple[int, int]]] = [
    (mint, 201, (8, 3)),
    (mint_with_a_fresh_key, 201, (9, 3)),
    (mint_in_a_session, 201, (8, 5)),
    (replay, 200, (9, 4)),
    (spent, 410, (5, 5)),
    (spent_again, 410, (3, 5)),
    (spent_in_a_flood, 410, (2, 5)),
    (guessed, 401, (3, 2)),
    (denied, 403, (8, 2)),
    (denied_again, 403, (2, 2)),
    (denied_a_third_time, 403, (1, 2)),
    (no_token, 401, (0, 0)),
    (revoke_agent, 200, (13, 6)),
    (revoke_token, 200, (6, 5)),
    (announce, 201, (7, 2)),
    (artifact, 404, (0, 2)),
    (quarantine, 200, (9, 7)),
    (release, 200, (9, 7)),
    (split, 201, (23, 5)),
    (split_again, 200, (9, 6)),
    (rotate, 201, (5, 1)),
    (request_rotation, 200, (5, 6)),
    (beat_with_news, 200, (2, 0)),
    (beat_of_a_copy, 403, (12, 0)),
]


@pytest.mark.parametrize(
    ("route", "status", "total"), ROUTES, ids=[row[0].__name__ for row in ROUTES]
)
def test_the_units_of_the_other_routes(
    tenant: Tenant,
    route: Route,
    status: int,
    total: tuple[int, int],
) -> None:
    call = route(tenant)
    with consumed() as units:
        answer = call()
    assert answer.status == status, answer.body
    assert units.total == total, units.requests


# Of each item of a transaction two units, and one for each index entry, as in an exchange.
EVIDENCE = {"audit_records": 2, "audit_records/by_resource": 1}
MINT = {
    "agent_enrollment_tokens": 2,
    "agent_enrollment_tokens/by_environment": 1,
    "organizations": 2,  # the environment stands there still: a condition, which writes nothing
    **EVIDENCE,
}
REVOKE_TOKEN = {
    "agent_enrollment_tokens": 2,
    "agent_enrollment_tokens/by_environment": 1,
    **EVIDENCE,
}
REVOKE_AGENT = {
    "agent_identities": 4,  # the identity; the reservation of its name goes
    "agent_identities/by_environment": 1,
    "agent_presence": 2,
    "agent_presence/overdue": 1,
    "agent_revocations": 2,
    **EVIDENCE,
}
# An authorization reads the organization, the key and what the request names. What is revoked is
# read twice more: by the flow in each of its rounds, and for the answer, as it is then.
ITEMS: list[tuple[Route, dict[str, int], dict[str, int]]] = [
    (mint, MINT, {"organizations": 3}),
    (mint_with_a_fresh_key, {**MINT, "organizations": 3}, {"organizations": 3}),
    (mint_in_a_session, MINT, {"organizations": 3, "people": 2}),
    (revoke_token, REVOKE_TOKEN, {"agent_enrollment_tokens": 3, "organizations": 2}),
    (
        revoke_agent,
        REVOKE_AGENT,
        {"agent_identities": 3, "agent_presence": 1, "organizations": 2},
    ),
]


@pytest.mark.parametrize(
    ("route", "written", "read"), ITEMS, ids=[row[0].__name__ for row in ITEMS]
)
def test_which_items_the_units_of_an_operator_are_spent_on(
    tenant: Tenant, route: Route, written: dict[str, int], read: dict[str, int]
) -> None:
    call = route(tenant)
    with consumed() as units:
        assert call().status in {200, 201}
    assert units.written == written
    assert units.read == read
