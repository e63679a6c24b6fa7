import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from chalicelib.api.requests import LARGEST_BODY
from chalicelib.api.views import OTHER_METHODS
from chalicelib.fields import RULES
from tests.functional.bad_values import BAD, BROKEN, NO_OBJECT
from tests.functional.database_requests import database_requests, writes
from tests.functional.gateway import problem, send
from tests.functional.routes import ENROLLMENT, ROUTES, WITH_BODY, Route, of
from tests.functional.world import World, new_world, running_api

MEGABYTE = "x" * 1_000_000
EXCHANGE = of("POST", f"{ENROLLMENT}/exchange")


@pytest.fixture(scope="module")
def world(stack: dict[str, str]) -> Iterator[World]:
    assert stack
    with running_api() as api:
        yield new_world(api)


def refused(route: Route, world: World, status: int, code: str, **changed: Any) -> None:
    """The request is refused, and neither token nor table is touched."""
    with database_requests() as seen:
        answer = send(route.request(world, **changed))
    problem(answer, status, code)
    assert writes(seen) == []


def test_every_route_has_a_row(world: World) -> None:
    from app import app

    assert world
    served = {
        f"{method} {path}"
        for path, methods in app.routes.items()
        for method, entry in methods.items()
        if entry.view_name != OTHER_METHODS
    }
    heads = {str(route).replace("GET", "HEAD") for route in ROUTES if route.access.head}
    assert {str(route) for route in ROUTES} | heads == served


def test_every_pattern_of_a_body_is_said_in_words() -> None:
    found = {
        pattern
        for route in WITH_BODY
        for pattern in patterns(msgspec.inspect.type_info(route.kind))
    }
    assert len(found) > 5
    assert found <= set(RULES)


def patterns(node: Any) -> Iterator[str]:
    """The patterns below a type, as msgspec describes it."""
    if isinstance(node, msgspec.inspect.StrType) and node.pattern is not None:
        yield node.pattern
    for name in ("fields", "types", "item_type", "key_type", "value_type", "type"):
        below = getattr(node, name, None)
        for one in below if isinstance(below, tuple) else (below,):
            if one is not None and not isinstance(one, str):
                yield from patterns(one)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@pytest.mark.parametrize("body", [None, ""], ids=["none", "empty"])
def test_a_body_that_is_needed_must_be_there(world: World, route: Route, body: str | None) -> None:
    if route.body_is_optional:
        other = "agt_" + "0" * 20 if "agent_id" in route.parameters else "tok_" + "0" * 20
        missing = dict.fromkeys(route.parameters, other)
        answer = send(route.request(world, parameters=missing, body=body))
        # A runtime key names its agent: for another one it is wrong before anything is looked up.
        assert answer.status == 404 or answer.code == "key_wrong_agent"
    else:
        refused(route, world, 400, "body_missing", body=body)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_broken_json_is_refused(world: World, route: Route, body: str) -> None:
    with database_requests() as seen:
        answer = send(route.request(world, body=body))
    problem(answer, 400)
    # Reading ends at the first thing that is wrong, which may be the shape of what came before.
    assert answer.code in {"json_invalid", "validation_failed"}
    assert writes(seen) == []


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@pytest.mark.parametrize("body", NO_OBJECT.values(), ids=NO_OBJECT.keys())
def test_json_of_another_shape_is_refused(world: World, route: Route, body: str) -> None:
    refused(route, world, 400, "validation_failed", body=body)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_members_that_are_given_twice_are_refused(world: World, route: Route) -> None:
    assert route.body is not None
    good = json.dumps(route.body(world))
    name, value = next(iter(route.body(world).items()))
    twice = f"{good[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}"
    refused(route, world, 400, "json_invalid", body=twice)


def test_labels_that_are_given_twice_are_refused(world: World) -> None:
    body = '{"hostname": "host-1", "labels": {"a": "1", "a": "2"}}'
    refused(EXCHANGE, world, 400, "json_invalid", body=body)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_bytes_that_are_no_utf_8_are_refused(world: World, route: Route) -> None:
    for raw in (b'{"\xff": 1}', b'{"\xed\xa0\x80": 1}', b'{"\xc0\xaf": 1}', b"\xfe"):
        encoded = base64.b64encode(raw).decode()
        refused(route, world, 400, "json_invalid", body=encoded, is_base64=True)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@pytest.mark.parametrize("body", ["a", "\U0001f4a5", "AAAAA"])
def test_a_body_that_is_said_to_be_base64_and_is_not_is_refused(
    world: World, route: Route, body: str
) -> None:
    answer = send(route.request(world, body=body, is_base64=True))
    problem(answer, 400)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_a_body_in_base64_is_read_as_what_it_is(world: World, route: Route) -> None:
    encoded = base64.b64encode(b'{"unknown": 1}').decode()
    refused(route, world, 400, "validation_failed", body=encoded, is_base64=True)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_a_body_over_the_limit_is_refused_before_it_is_read(world: World, route: Route) -> None:
    for body in (json.dumps({"unknown": MEGABYTE}), "x" * (LARGEST_BODY + 1)):
        refused(route, world, 413, "body_too_large", body=body)


def test_the_largest_body_is_still_read(world: World) -> None:
    body = json.dumps({"unknown": ""})
    body += " " * (LARGEST_BODY - len(body))
    refused(EXCHANGE, world, 400, "validation_failed", body=body)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@pytest.mark.parametrize(
    "said", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
             "application/octet-stream", "application/jsonx", "json", "", ";", "\U0001f4a5"],
)  # fmt: skip
def test_another_content_type_is_refused(world: World, route: Route, said: str) -> None:
    headers = {**route.request(world).headers, "content-type": said}
    refused(route, world, 415, "content_type_unsupported", headers=headers)


@pytest.mark.parametrize("said", ["application/json; charset=utf-8", "APPLICATION/JSON", None])
def test_json_may_be_said_in_several_ways(world: World, said: str | None) -> None:
    headers = {**EXCHANGE.request(world).headers, "content-type": said}
    headers = {name: value for name, value in headers.items() if value is not None}
    refused(EXCHANGE, world, 400, "validation_failed", headers=headers, body='{"unknown": 1}')


FIELDS = [
    pytest.param(route, name, bad, id=f"{route}-{name}-{number}")
    for route in WITH_BODY
    for name, all_bad in BAD[route.kind.__name__ if route.kind else ""].items()
    for number, bad in enumerate(all_bad)
    if (name, bad) != ("filename", "..%2f..%2fetc")  # no separator: a name like another
]


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_every_member_has_bad_values(route: Route) -> None:
    assert route.kind is not None
    members = {member.name for member in msgspec.structs.fields(route.kind)}
    assert set(BAD[route.kind.__name__]) == members


@pytest.mark.parametrize(("route", "name", "bad"), FIELDS)
def test_a_bad_value_is_refused_and_its_place_is_named(
    world: World, route: Route, name: str, bad: Any
) -> None:
    assert route.body is not None
    body = json.dumps({**route.body(world), name: bad})
    with database_requests() as seen:
        answer = send(route.request(world, body=body))
    problem(answer, 400)
    assert writes(seen) == []
    assert answer.code in {"validation_failed", "csr_invalid"}, answer.text
    assert answer.body["errors"][0]["path"].startswith(name), answer.text


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_a_string_of_a_megabyte_is_refused_in_every_member(world: World, route: Route) -> None:
    assert route.kind is not None
    assert route.body is not None
    for member in msgspec.structs.fields(route.kind):
        body = json.dumps({**route.body(world), member.name: MEGABYTE})
        refused(route, world, 413, "body_too_large", body=body)


def test_a_needed_member_must_be_there(world: World) -> None:
    for route in WITH_BODY:
        assert route.kind is not None
        assert route.body is not None
        for member in msgspec.structs.fields(route.kind):
            if member.required:
                body = route.body(world)
                del body[member.name]
                refused(route, world, 400, "validation_failed", body=json.dumps(body))


def test_after_all_bad_input_the_token_still_has_its_use(world: World) -> None:
    token = world.tenant.mint()
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {token['token']}",
    }
    bodies = [*BROKEN.values(), *NO_OBJECT.values(), "", json.dumps({"hostname": MEGABYTE})]
    bodies += [
        json.dumps({"hostname": "host-2", name: bad})
        for name, all_bad in BAD["ExchangeRequest"].items()
        for bad in all_bad
    ]
    for body in bodies:
        problem(send(EXCHANGE.request(world, headers=headers, body=body)))
    seen = world.tenant.call("GET", f"/agent-enrollment/tokens/{token['enrollment_token_id']}")
    assert (seen.body["uses"], seen.body["status"]) == (0, "active")
    assert world.tenant.exchange(token["token"]).status == 201


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("machine_id", "\U0001f4a5 é 漢字"),
        ("os", "Linux 🐧"),
        ("labels", {"team": "\U0001f4a5", "path": "../x"}),
        ("name", "a" * 63),
        ("hostname", "UPPER.example"),
        ("hostname", "_x_"),
    ],
)
def test_odd_but_good_values_enroll(world: World, member: str, value: Any) -> None:
    answer = world.tenant.exchange(world.tenant.mint()["token"], **{member: value})
    assert answer.status == 201, answer.body
    seen = world.tenant.call("GET", f"/agents/{answer.body['agent_id']}").body
    assert member == "machine_id" or seen[member] == value
    assert "machine_id" not in seen


def test_a_refused_body_does_not_show_what_it_was_sent(world: World) -> None:
    secret = world.token["token"]
    body = json.dumps({"hostname": secret + "\n", "token": 7, "labels": {"a": secret * 9}})
    answer = send(EXCHANGE.request(world, body=body))
    problem(answer, 400)
    assert secret not in answer.text
    assert replace(EXCHANGE).request(world).headers["authorization"] not in answer.text
