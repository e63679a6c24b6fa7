"""Hosts that are refused, and the list of their attempts."""

from typing import Any

from chalicelib.credentials import enrollment_token
from tests.functional.api import Answer, Tenant

FACTS: dict[str, Any] = {
    "hostname": "host-1.example",
    "name": "edge-1",
    "os": "Linux 6",
    "arch": "riscv64",
    "agent_version": "1.2.3",
}
UNTOLD: dict[str, Any] = {"machine_id": "d3adb33f-machine", "labels": {"rack": "secret-rack"}}


def listed(tenant: Tenant, **query: Any) -> list[dict[str, Any]]:
    """All pages of the list."""
    rows: list[dict[str, Any]] = []
    for _ in range(300):
        text = "&".join(f"{name}={value}" for name, value in query.items())
        answer = tenant.call("GET", f"/agent-enrollment/attempts?{text}")
        assert answer.status == 200, answer.body
        rows += answer.body["attempts"]
        if answer.body["next_cursor"] is None:
            return rows
        query["cursor"] = answer.body["next_cursor"]
    raise AssertionError("the list does not end")


def revoked(tenant: Tenant) -> dict[str, Any]:
    """A token that admits nobody any more."""
    token = tenant.mint()
    path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}/revoke"
    assert tenant.call("POST", path).status == 200
    return token


def with_wrong_secret(tenant: Tenant, token: str) -> str:
    """A secret that names a token and is not its own."""
    return enrollment_token.FAMILY.issue(tenant.organization, token)


def same_but_for_the_number(first: Answer, second: Answer) -> None:
    bodies = [{**answer.body, "request_id": ""} for answer in (first, second)]
    assert (first.status, bodies[0]) == (second.status, bodies[1])
    assert {name.lower() for name in first.headers} == {name.lower() for name in second.headers}
