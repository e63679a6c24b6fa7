"""The sentences of `byteor-auth-and-access` about enrollment and runtime, one test for each.

A test's docstring is its sentence.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.api.access import (
    FAMILIES,
    RUNTIME_KEY,
)
from tests.functional.database_requests import database_requests
from tests.functional.gateway import RawAnswer, problem, send
from tests.functional.routes import AGENT, Route, of
from tests.functional.world import (
    World,
    artifact_wish,
    new_world,
    running_api,
)


@pytest.fixture(scope="module")
def world(stack: dict[str, str]) -> Iterator[World]:
    assert stack
    with running_api() as api:
        yield new_world(api)


def bearer(route: Route, world: World, credential: str) -> RawAnswer:
    """The route's good request under another credential."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {credential}"}
    return send(route.request(world, headers=headers))


def is_of_another_family(route: Route, world: World, credential: str) -> None:
    """The credential is not even looked up."""
    with database_requests() as seen:
        problem(bearer(route, world, credential), 401, "wrong_credential_family")
    assert seen == []


def call(world: World, credential: str, method: str, path: str, body: Any = None) -> Any:
    return world.tenant.api.call(method, f"/api/v1{path}", body, credential=credential)


def test_an_enrollment_token_authorizes_a_one_time_registration(world: World) -> None:
    """An environment enrollment token authorizes a one-time registration."""
    token = world.tenant.mint()
    statuses = [world.tenant.exchange(token["token"]).status for _ in range(3)]
    assert statuses == [201, 410, 410]


def test_the_control_plane_returns_a_runtime_key_of_its_own_for_each_agent(world: World) -> None:
    """The control plane returns a per-agent runtime API key."""
    token = world.tenant.mint(max_uses=3)
    keys = {world.tenant.exchange(token["token"]).body["runtime_key"] for _ in range(3)}
    assert len(keys) == 3
    assert all(key.startswith(RUNTIME_KEY) for key in keys)


def test_the_agent_uses_its_runtime_key_for_steady_state_operations(world: World) -> None:
    """The agent uses that runtime key for steady-state operations."""
    host = world.tenant.enroll(hostname="steady")
    assert host.beat().status == 200
    world.tenant.api.clock.advance(seconds=60)
    assert host.beat().status == 200
    assert host.call("POST", "/artifacts", artifact_wish(b"steady")).status == 201


def test_bootstrap_access_is_revoked_without_rotating_long_lived_agent_secrets(
    world: World,
) -> None:
    """That split lets operators revoke bootstrap access without rotating every long-lived agent
    secret."""
    tenant = world.tenant
    token = tenant.mint(max_uses=5)
    enrolled = tenant.exchange(token["token"]).body
    path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}/revoke"
    assert tenant.call("POST", path).status == 200
    assert tenant.exchange(token["token"]).code == "token_revoked"
    beat = {"sequence": 1, "nonce": "n" * 20, "instance": "i" * 20}
    heartbeat = f"/agents/{enrolled['agent_id']}/telemetry/heartbeat"
    assert call(world, enrolled["runtime_key"], "POST", heartbeat, beat).status == 200


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {RUNTIME_KEY}))
def test_artifact_upload_is_bound_to_an_enrolled_node(world: World, family: str) -> None:
    """... and keeps artifact upload authorization bound to an actual enrolled node."""
    upload = of("POST", f"{AGENT}/artifacts")
    is_of_another_family(upload, world, world.credential(family))
    host = world.tenant.enroll(hostname=f"node-{ids.new('agt')[4:]}")
    announced = host.call("POST", "/artifacts", artifact_wish(b"too early"))
    assert (announced.status, announced.code) == (409, "not_active")
    assert host.beat().status == 200
    assert host.call("POST", "/artifacts", artifact_wish(b"in time")).status == 201
