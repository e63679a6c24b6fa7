"""Bad input in the headers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.database_requests import database_requests, writes
from tests.functional.gateway import RawAnswer, problem, send
from tests.functional.routes import ENROLLMENT, ROUTES, WITH_BODY, WITH_CREDENTIAL, Route, of
from tests.functional.world import World, new_world, running_api

EXCHANGE = of("POST", f"{ENROLLMENT}/exchange")
MINT = of("POST", f"{ENROLLMENT}/tokens")


@pytest.fixture(scope="module")
def world(stack: dict[str, str]) -> Iterator[World]:
    assert stack
    with running_api() as api:
        yield new_world(api)


def call(route: Route, world: World, **changed: Any) -> RawAnswer:
    """A request that must write nothing."""
    with database_requests() as seen:
        answer = send(route.request(world, **changed))
    assert writes(seen) == []
    return answer


NO_CREDENTIAL: list[str | None] = [
    None, "", " ", "Bearer", "Bearer ", "Bearer    ", "Basic dXNlcjpwYXNz", "Digest username=x",
    "Negotiate AAAA", "bearer", "rco_x", "\x00", "=",
]  # fmt: skip
NO_KNOWN_CREDENTIAL: list[str] = [
    "Bearer x", "Bearer \U0001f4a5", "Bearer é", "Bearer a\x00b", "Bearer \ud800",
    "Bearer " + "x" * 100_000, "Bearer rco", "Bearer RCO_x", "Bearer null", "Bearer a b",
    "Bearer \u202erco_", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "Bearer ../../x",
]  # fmt: skip


@pytest.mark.parametrize("route", WITH_CREDENTIAL, ids=str)
@pytest.mark.parametrize("header", NO_CREDENTIAL, ids=range(len(NO_CREDENTIAL)))
def test_without_a_bearer_credential_nothing_is_looked_up(
    world: World, route: Route, header: str | None
) -> None:
    headers = {"content-type": "application/json"}
    if header is not None:
        headers["authorization"] = header
    with database_requests() as seen:
        answer = send(route.request(world, headers=headers))
    problem(answer, 401, "credential_missing")
    assert seen == []


@pytest.mark.parametrize("route", WITH_CREDENTIAL, ids=str)
@pytest.mark.parametrize("header", NO_KNOWN_CREDENTIAL, ids=range(len(NO_KNOWN_CREDENTIAL)))
def test_junk_as_credential_is_refused_without_a_request(
    world: World, route: Route, header: str
) -> None:
    headers = {"content-type": "application/json", "authorization": header}
    with database_requests() as seen:
        answer = send(route.request(world, headers=headers))
    problem(answer, 401, "credential_invalid")
    assert seen == []


@pytest.mark.parametrize("route", WITH_CREDENTIAL, ids=str)
def test_a_damaged_credential_is_refused_without_a_request(world: World, route: Route) -> None:
    good = world.credential(route.families[0])
    changed = "0" if good[-1] != "0" else "1"
    for damaged in (good[:-1], good + "0", good[:-1] + changed, good[:4], good + ".", good.upper()):
        headers = {"content-type": "application/json", "authorization": f"Bearer {damaged}"}
        with database_requests() as seen:
            answer = send(route.request(world, headers=headers))
        problem(answer, 401)
        assert answer.code in {"credential_invalid", "key_invalid"}
        assert seen == []


@pytest.mark.parametrize("header", [*filter(None, NO_CREDENTIAL), *NO_KNOWN_CREDENTIAL])
def test_a_token_in_the_body_is_no_more_trusted_than_one_in_the_header(
    world: World, header: str
) -> None:
    junk = (
        header.removeprefix("Bearer ")
        .replace("rco_", "rc0_")
        .replace("\ud800", "?")
        .replace("\x00", "?")[:512]
    )
    body = json.dumps({"hostname": "host-1", "token": junk})
    with database_requests() as seen:
        answer = send(EXCHANGE.request(world, body=body))
    problem(answer, 401, "credential_invalid")
    assert seen == []


BAD_KEYS = [
    "", " ", "x" * 21, "x" * 129, "x" * 100_000, "é" * 30, "\U0001f4a5" * 30, "a b" * 10,
    "a/b" * 10, "a+b=" * 10, "\x00" * 30, "x" * 30 + "\n", "../" * 10, "\ud800" * 30,
]  # fmt: skip


@pytest.mark.parametrize("route", [MINT, EXCHANGE], ids=str)
@pytest.mark.parametrize("bad", BAD_KEYS, ids=range(len(BAD_KEYS)))
def test_a_bad_idempotency_key_is_refused(world: World, route: Route, bad: str) -> None:
    headers = {**route.request(world).headers, "idempotency-key": bad}
    problem(call(route, world, headers=headers), 400, "idempotency_key_invalid")


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_a_request_without_any_header_is_no_fault(world: World, route: Route) -> None:
    answer = send(route.request(world, headers=None))
    if route.families:
        problem(answer, 401, "credential_missing")
    else:
        assert answer.status in route.answers


@pytest.mark.parametrize("route", [r for r in ROUTES if r not in WITH_BODY and not r.ends], ids=str)
def test_a_body_that_nobody_reads_changes_nothing(world: World, route: Route) -> None:
    for body in ("{", "\ud800", "x" * 1_000_000):
        assert send(route.request(world, body=body)).status in route.answers


def test_the_host_header_chooses_no_address(world: World) -> None:
    token = world.tenant.mint()["token"]
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {token}",
        "host": "evil.example",
        "x-forwarded-host": "evil.example",
    }
    answer = send(EXCHANGE.request(world, headers=headers))
    assert answer.body["api_base_url"] == "https://api.example/functional"
