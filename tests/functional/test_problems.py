"""What is our fault is 503 with `Retry-After`, on every route and at every request behind it."""

import json
from collections.abc import Iterator

import pytest

from chalicelib import runtime
from infra.engines import chosen
from tests.functional import routes_install
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests
from tests.functional.gateway import RawAnswer, Sent, send
from tests.functional.refused_requests import refused_requests
from tests.functional.routes import AGENT, ENROLLMENT, ROUTES, Route, of
from tests.functional.routes_oidc import CALLBACK
from tests.functional.world import Snapshot, World, empty_tables, new_world, running_api


@pytest.fixture(scope="module")
def made(stack: dict[str, str]) -> Iterator[tuple[World, Snapshot | None]]:
    """A world, and its rows; a real engine has no snapshots, and makes a world for each test."""
    assert stack
    with running_api() as api:
        world = new_world(api)
        yield world, None if chosen() else Snapshot()
    empty_tables()


@pytest.fixture
def world(made: tuple[World, Snapshot | None]) -> Iterator[World]:
    """As it was made: a good request changes it."""
    world, rows = made
    clock = FrozenClock()
    world.tenant.api.clock = clock
    runtime.use(runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5))
    if rows is None:
        empty_tables()
        world = new_world(world.tenant.api)
    else:
        rows.restore()
    clock.advance(seconds=60)
    yield world
    runtime.use(None)


def ours(answer: RawAnswer, code: str) -> None:
    """A whole problem document that takes the blame."""
    assert answer.status == 503, answer.text
    assert answer.code == code
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.body["request_id"] == answer.request_id
    assert "private" not in answer.text
    assert "AccessDenied" not in answer.text


# None of them asks the database: the callback has no cookie here, and the invitation is junk.
ACCEPT = "/api/v1/invitations/accept"
NOT_ASKING = {"/healthz", CALLBACK, ACCEPT, *(route.path for route in routes_install.ROUTES)}
ASKING = [route for route in ROUTES if route.path not in NOT_ASKING]


@pytest.mark.parametrize("route", ASKING, ids=str)
def test_a_database_that_refuses_one_request_is_told_as_our_fault(
    world: World, route: Route
) -> None:
    for number in range(1, 30):
        with refused_requests(lambda at, _, chosen=number: at == chosen) as seen:  # type: ignore[misc]
            answer = send(route.request(world))
        if len(seen) < number:
            break
        if seen[number - 1] == "GetItem" and answer.status == 200:
            continue  # the environment's control values: the defaults serve
        if seen[number - 1] == "PutItem" and answer.code == "login_failed":
            continue  # a failed login that cannot be recorded is refused the same
        ours(answer, "store_unavailable")
        runtime.current().controls._kept.clear()
    else:
        raise AssertionError("the route asks without end")
    assert number > 1
    assert answer.status in route.answers


def test_health_asks_nobody(world: World) -> None:
    with database_requests() as seen:
        assert send(of("GET", "/healthz").request(world)).status == 200
    assert seen == []


@pytest.mark.parametrize(
    "route",
    [
        of("POST", f"{ENROLLMENT}/exchange"),
        of("POST", f"{AGENT}/telemetry/heartbeat"),
        of("GET", "/readyz"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "secret",
    ["", "{}", "null", "[]", "not json", '{"current": "k1"}', '{"current": "k1", "k1": ""}'],
)
def test_a_signing_secret_that_cannot_be_read_is_our_fault(
    world: World, route: Route, secret: str
) -> None:
    now = runtime.current()
    now.keyring._keys.clear()
    now.keyring._fetch = lambda: secret
    ours(send(route.request(world)), "signing_secret_unavailable")
    token = world.tenant.call(
        "GET", f"/agent-enrollment/tokens/{world.token['enrollment_token_id']}"
    )
    assert token.body["uses"] == 0


def test_a_fault_of_ours_is_a_problem_document_without_its_cause(world: World) -> None:
    now = runtime.current()

    def broken() -> int:
        raise ZeroDivisionError("a private cause")

    now.clock = broken
    answer = send(of("GET", "/api/v1/agents").request(world))
    now.clock = world.tenant.api.clock
    assert (answer.status, answer.code) == (503, "internal_error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "30"
    assert answer.body["request_id"] == answer.request_id
    assert "private" not in answer.text
    assert "Zero" not in answer.text


def test_a_problem_document_has_all_members_and_a_type_of_its_code(world: World) -> None:
    answer = send(Sent("GET", "/api/v1/agents"))
    assert json.loads(answer.text) == {
        "type": "urn:rollcall:error:credential_missing",
        "title": "The credential was not accepted",
        "status": 401,
        "detail": "This route needs an Authorization: Bearer credential.",
        "code": "credential_missing",
        "request_id": answer.request_id,
    }
    assert world.job
