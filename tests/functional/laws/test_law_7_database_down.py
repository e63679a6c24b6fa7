"""Law 7: a database that does not answer is our fault, on every route and in every worker."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import workers
from chalicelib.api.access import MODULES
from chalicelib.errors import Unavailable
from tests.functional.api import Answer, Host, Tenant
from tests.functional.canaries import MARK
from tests.functional.laws import faults
from tests.functional.laws.faults import Fault, injected
from tests.functional.laws.stories import ARTIFACT, assert_our_fault
from tests.functional.routes_machines import some_facts

Call = Callable[[Tenant, Host], Answer]


def operator(method: str, path: str, body: Any = None) -> Call:
    return lambda tenant, _: tenant.call(method, path, body)


def of_the_host(method: str, path: str, body: Any = None) -> Call:
    return lambda tenant, host: tenant.call(method, f"/agents/{host.agent_id}{path}", body)


AGENT, TOKEN, JOB = "agt_" + "0" * 20, "tok_" + "0" * 20, "job_" + "0" * 20
DAY = {"since": "2026-05-28T00:00:00Z", "until": "2026-05-28T20:00:00Z"}
ARTIFACT_ID, FORMER = "art_" + "0" * 20, "agt_" + "1" * 20

# Every route that needs the database.
ROUTES: dict[str, Call] = {
    "mint": lambda tenant, _: tenant.call(
        "POST", "/agent-enrollment/tokens", {"environment": tenant.environment}
    ),
    "list tokens": operator("GET", "/agent-enrollment/tokens"),
    "get token": operator("GET", f"/agent-enrollment/tokens/{TOKEN}"),
    "revoke token": operator("POST", f"/agent-enrollment/tokens/{TOKEN}/revoke"),
    "list agents": operator("GET", "/agents"),
    "get agent": of_the_host("GET", ""),
    "update agent": of_the_host("PATCH", "", {"labels": {}}),
    "revoke agent": of_the_host("POST", "/revoke"),
    "list artifacts": operator("GET", f"/agents/{AGENT}/artifacts"),
    "get artifact": operator("GET", f"/agents/{AGENT}/artifacts/{ARTIFACT_ID}"),
    "download artifact": operator("GET", f"/agents/{AGENT}/artifacts/{ARTIFACT_ID}/download"),
    "get job": operator("GET", f"/jobs/{JOB}"),
    "audit records": operator("GET", "/audit-records"),
    "audit of one": operator("GET", f"/audit-records?resource_type=agent&resource_id={AGENT}"),
    "attempts": operator("GET", "/agent-enrollment/attempts"),
    "export": operator("POST", "/audit-records/export", DAY),
    "get export": operator("GET", f"/audit-records/exports/{JOB}"),
    "exchange": lambda tenant, _: tenant.exchange(forged_token(tenant)),
    "check": lambda tenant, _: tenant.api.call(
        "POST", "/api/v1/agent-enrollment/check", {"hostname": "host-1.example"},
        credential=forged_token(tenant),
    ),
    "heartbeat": lambda _, host: host.beat(),
    "quarantine": of_the_host("POST", "/quarantine"),
    "release": of_the_host("POST", "/release", {"decision": "keep"}),
    "request rotation": of_the_host("POST", "/runtime-key/request-rotation"),
    "rotate": lambda _, host: host.call("POST", "/runtime-key/rotate"),
    "split": lambda _, host: host.call(
        "POST", "/split", {"instance": host.instance},
        headers={"Idempotency-Key": f"{MARK}-of-a-copy-0123456789"},
    ),
    "get facts": of_the_host("GET", "/facts"),
    "put facts": lambda _, host: host.call("PUT", "/facts", some_facts()),
    "replace": of_the_host("POST", "/replace", {"former": FORMER}),
    "decommission": of_the_host("POST", "/decommission"),
    "own decommission": lambda _, host: host.call("POST", "/decommission"),
    "announce": lambda _, host: host.call("POST", "/artifacts", ARTIFACT),
    "own artifact": lambda _, host: host.call("GET", f"/artifacts/{ARTIFACT_ID}"),
    "readyz": lambda tenant, _: tenant.api.call("GET", "/readyz"),
}  # fmt: skip


def forged_token(tenant: Tenant) -> str:
    from chalicelib.credentials import enrollment_token

    return enrollment_token.FAMILY.issue(tenant.organization, TOKEN)


@pytest.mark.parametrize("fault", [faults.DROPPED, faults.LOST], ids=str)
@pytest.mark.parametrize("name", ROUTES)
def test_a_database_that_does_not_answer_is_503_on_every_route(
    tenant: Tenant, name: str, fault: Fault
) -> None:
    host = tenant.enroll()
    host.beat()
    # Each request of the route in turn is the first that fails.
    for first in range(1, 12):
        with injected(fault, first=first, times=faults.ALWAYS) as meeting:
            answer = ROUTES[name](tenant, host)
        if meeting.seen < first:
            return
        assert_our_fault(answer, "store_unavailable")
    assert name in {"list tokens", "list agents", "audit records", "attempts"}  # eight shards each


@pytest.mark.parametrize("fault", [faults.DROPPED, faults.LOST, faults.DENIED], ids=str)
def test_the_workers_raise_so_that_they_are_called_again(tenant: Tenant, fault: Fault) -> None:
    assert tenant
    with injected(fault, times=faults.ALWAYS), pytest.raises(Unavailable):
        workers.sweep(None)


def test_every_route_of_the_laws_is_on_the_list() -> None:
    # Request by request, and in turn; the others are held to the same by `test_problems`, which
    # runs over the whole table of routes.
    modules = (
        "heartbeats", "enrollment", "attempts", "agents", "artifacts", "jobs", "audit",
        "audit_exports", "agent_life", "machines",
    )  # fmt: skip
    known = sum(len(MODULES[module]) for module in modules) + len({"/readyz"})
    # Two ways to ask for audit records; two kinds of caller for an artifact and for an agent's end.
    assert len(ROUTES) - 3 == known
