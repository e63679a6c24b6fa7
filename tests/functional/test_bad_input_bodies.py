import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from chalicelib.api.requests import LARGEST_BODY
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
    served = {(method, path) for path, methods in app.routes.items() for method in methods}
    assert {(route.method, route.path) for route in ROUTES} == served


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@pytest.mark.parametrize("body", [None, ""], ids=["none", "empty"])
def test_a_body_that_is_needed_must_be_there(world: World, route: Route, body: str | None) -> None:
    if route.body_is_optional:
        other = "agt_" + "0" * 20 if "agent_id" in route.parameters else "tok_" + "0" * 20
        missing = dict.fromkeys(route.parameters, other)
        assert send(route.request(world, parameters=missing, body=body)).status == 404
    else:
        refused(route, world, 400, "body_missing", body=body)


BROKEN = {
    "a space": " ",
    "a brace": "{",
    "a word": "hello",
    "single quotes": "{'note': 'x'}",
    "a trailing comma": '{"note": "x",}',
    "two documents": "{}{}",
    "a comment": '{} // "x"',
    "a NUL": "\x00",
    "a byte order mark": "\ufeff{}",
    "NaN": "NaN",
    "infinity": "-Infinity",
    "a raw lone surrogate": '{"\ud800": 1}',
    "an escaped lone surrogate": '{"note": "\\ud800"}',
    "a surrogate as a name": '{"\\udfff": 1}',
    "an unclosed string": '{"note": "',
    "a control character in a string": '{"note": "a\nb"}',
    "a form": "hostname=host-1&token=x",
    "XML": "<note/>",
}
NO_OBJECT = {
    "null": "null",
    "true": "true",
    "a number": "7",
    "a huge number": "9" * 5000,
    "an infinite number": "1e999999",
    "a string": '"note"',
    "a list": "[]",
    "a list of objects": "[{}]",
    "deep lists": "[" * 30_000 + "]" * 30_000,
    "deep lists left open": "[" * 60_000,
    "an unknown member": '{"unknown": 1}',
    "an unknown member with a long name": json.dumps({"u" * 60_000: 1}),
    "an unknown member with an emoji": '{"\U0001f4a5": 1}',
    "an unknown member with deep objects": '{"u":' * 9_000 + "1" + "}" * 9_000,
    "a prototype": '{"__proto__": {"scopes": ["*"]}}',
}


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
    refused(EXCHANGE, world, 400, "validation_failed", headers=headers, body="{}")


NO_TEXT: list[Any] = [0, 1.5, True, [], ["x"], {}, {"x": "y"}]
LONG = ["x" * 50_000, "\U0001f4a5" * 4_000]
CONTROLS = ["a\x00b", "a\nb", "\r\nSet-Cookie: x", "\x1b[31m", "a\x7f", "\t"]
PATHS = ["../../etc/passwd", "..%2f..%2fetc", "/", "a/b", "a\\b", "..\\..", ".", "..", "~/x"]
NO_IDENTIFIER = [
    *NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "*", "env_", "env_" + "0" * 19, "env_" + "0" * 21,
    "env_" + "0" * 20 + "\n", "ENV_" + "0" * 20, "org_" + "0" * 20, "env_" + "\u0660" * 20,
]  # fmt: skip
NO_NUMBER: list[Any] = [
    None, "1", "", [], {}, True, 1.5, -1, 0, 10**30, -(10**30), 2**63, 2**64, 1e308,
]  # fmt: skip
NO_HOSTNAME = [*NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "h" * 254, "höst", "a b", "-a", "a.", "\u202e"]
NO_LABELS: list[Any] = [
    0, "x", True, [], [["a", "b"]], {"": "x"}, {"A": "x"}, {"a b": "x"}, {"../x": "y"},
    {"a\x00": "x"}, {"é": "x"}, {"a" * 64: "x"}, {"a": None}, {"a": 1}, {"a": []}, {"a": {}},
    {"a": "x" * 129}, {"a": "\x00"}, {"a": "b\nc"}, {f"k{n}": "v" for n in range(33)},
]  # fmt: skip
NO_NAME = [*NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "n" * 64, "-a", ".hidden", "a b", "é", "a#b",
           "\U0001f4a5", "name\u200b"]  # fmt: skip
NO_SHORT_TEXT = [*NO_TEXT, *LONG, *CONTROLS, "", "x" * 129]
NO_NOTE = [*NO_TEXT, *LONG, *CONTROLS, "", "x" * 501]
NO_NONCE = [*NO_TEXT, None, *LONG, *CONTROLS, *PATHS, "", "x" * 15, "x" * 65, "é" * 20, "a b" * 8]
NO_FLAG: list[Any] = [None, 0, 1, "true", "", [], {}]
NO_CIDR = ["", "x", "10.0.0.1/8", "10.0.0.0/33", "1.2.3", "10.0.0.0/8/8", "::/129", "0x7f.1",
           "10.0.0.0/-1", "\u0661.2.3.4", "1" * 60, *CONTROLS]  # fmt: skip
NO_CSR = [*NO_TEXT, *LONG, "", "\x00", "é", "-----BEGIN CERTIFICATE REQUEST-----", "../x",
          "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
          "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"]  # fmt: skip
BAD: dict[str, dict[str, list[Any]]] = {
    "MintRequest": {
        "environment": [None, *NO_IDENTIFIER],
        "ttl_seconds": [*NO_NUMBER, 59, 2_592_001],
        "max_uses": [*NO_NUMBER, 10_001],
        "hostname": NO_HOSTNAME,
        "source_cidrs": [None, 0, "10.0.0.0/8", {}, [0], [None], [[]], ["10.0.0.0/8"] * 21,
                         *([bad] for bad in NO_CIDR)],
        "labels": [None, *NO_LABELS],
        "note": NO_NOTE,
    },
    "RevokeTokenRequest": {"cascade": NO_FLAG, "note": NO_NOTE},
    "ExchangeRequest": {
        "hostname": [None, *NO_HOSTNAME],
        "token": [*NO_TEXT, "x" * 513, *LONG],
        "name": NO_NAME,
        "machine_id": NO_SHORT_TEXT,
        "os": NO_SHORT_TEXT,
        "arch": NO_SHORT_TEXT,
        "agent_version": NO_SHORT_TEXT,
        "labels": [None, *NO_LABELS],
        "csr": NO_CSR,
    },
    "UpdateAgentRequest": {"name": NO_NAME, "labels": NO_LABELS},
    "RevokeAgentRequest": {"note": NO_NOTE},
    "HeartbeatRequest": {
        "sequence": [*NO_NUMBER, 2**53 + 1],
        "nonce": NO_NONCE,
        "instance": NO_NONCE,
        "agent_version": NO_SHORT_TEXT,
        "unpersisted": NO_FLAG,
        "collector_id": NO_IDENTIFIER,
        "asset_id": NO_IDENTIFIER,
    },
    "ArtifactRequest": {
        "kind": [None, *NO_TEXT, "", "bundle", "../incident_bundle", *LONG],
        "filename": [None, *NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "f" * 256],
        "size": [*NO_NUMBER, 2**53 + 1],
        "sha256": [None, *NO_TEXT, "", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n", *LONG],
        "content_type": [None, *NO_TEXT, "", "text", "text/", "/plain", "text/plain; x=y", "TEXT/PLAIN",
                         "text/plain\r\nx: y", "a/" + "b" * 99, *LONG],
        "metadata": [None, *NO_LABELS, {f"k{n}": "v" for n in range(17)}],
    },
}  # fmt: skip
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
