"""Bad input in the path and in the query."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.database_requests import database_requests, writes
from tests.functional.gateway import RawAnswer, problem, send
from tests.functional.routes import (
    ENROLLMENT,
    LISTS,
    WITH_CREDENTIAL,
    WITH_ID,
    Route,
    of,
)
from tests.functional.world import World, new_world, running_api

HOSTILE_IDS = [
    "..", "../..", "..%2f..%2fetc%2fpasswd", "%2e%2e", "%00", "\x00", "a\x00b", "\n", "\r\nX: y",
    "\U0001f4a5", "é", "\ud800", "*", "#", "agt_#", "null", "undefined", "0", "-1", " ", "",
    "agt_", "agt_" + "0" * 19, "agt_" + "0" * 21, "agt_" + "0" * 20 + "\n", "AGT_" + "0" * 20,
    "agt_" + "\u0660" * 20, "agt_" + "w" * 20, "tok_" + "0" * 20 + "#mint", "x" * 3_000,
    "x" * 100_000, "' OR 1=1 --", "<script>", "{{7*7}}", "${jndi:ldap://x}",
]  # fmt: skip
HOSTILE_TEXT = ["\x00", "a\nb", "\x1b[31m", "\ud800", "\u202e", "\u2028", "x" * 769, "x" * 100_000]
WITHOUT_QUERY = tuple(route for route in WITH_CREDENTIAL if not route.query)
EXCHANGE = of("POST", f"{ENROLLMENT}/exchange")
MINT = of("POST", f"{ENROLLMENT}/tokens")
AUDIT = of("GET", "/api/v1/audit-records")


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


@pytest.mark.parametrize("route", WITH_ID, ids=str)
@pytest.mark.parametrize("bad", HOSTILE_IDS, ids=range(len(HOSTILE_IDS)))
def test_an_odd_identifier_in_the_path_is_like_an_unknown_one(
    world: World, route: Route, bad: str
) -> None:
    for name in route.parameters:
        good = {other: world.parameters[other] for other in route.parameters}
        answer = call(route, world, parameters={**good, name: bad})
        if route.families == ("rca_",):
            problem(answer, 401, "key_wrong_agent")
        else:
            problem(answer, 404)


@pytest.mark.parametrize("route", WITH_ID, ids=str)
def test_an_odd_identifier_costs_no_request_beyond_the_credentials(
    world: World, route: Route
) -> None:
    bad = dict.fromkeys(route.parameters, "../x")
    with database_requests() as seen:
        send(route.request(world, parameters=bad))
    assert seen == ([] if route.families in {("rca_",), ()} else ["BatchGetItem"])


@pytest.mark.parametrize("route", WITH_CREDENTIAL, ids=str)
@pytest.mark.parametrize("name", ["unknown", "Limit", "limit[]", "", "\x00", "é", "x" * 5_000])
def test_an_unknown_parameter_is_refused(world: World, route: Route, name: str) -> None:
    problem(call(route, world, query={name: ["1"]}), 400, "query_invalid")


def test_a_revoke_is_not_asked_for_by_parameters(world: World) -> None:
    revoke = of("POST", f"{ENROLLMENT}/tokens/{{enrollment_token_id}}/revoke")
    answer = call(revoke, world, query={"cascade": ["true"]}, body=None)
    problem(answer, 400, "query_invalid")


@pytest.mark.parametrize("route", LISTS, ids=str)
def test_a_repeated_parameter_is_refused(world: World, route: Route) -> None:
    for name in route.query:
        for values in (["1", "1"], []):
            problem(call(route, world, query={name: values}), 400, "query_invalid")


@pytest.mark.parametrize("route", LISTS, ids=str)
@pytest.mark.parametrize("bad", HOSTILE_TEXT, ids=range(len(HOSTILE_TEXT)))
def test_odd_text_in_a_parameter_is_refused(world: World, route: Route, bad: str) -> None:
    for name in route.query:
        problem(call(route, world, query={name: [bad]}), 400)


@pytest.mark.parametrize("route", LISTS, ids=str)
def test_the_longest_parameters_still_fit_the_keys_they_become_part_of(
    world: World, route: Route
) -> None:
    longest = "\U0001f4a5" * 192
    for name in route.ids_in_query or ():
        query = {name: [longest]}
        if name == "resource_id":
            query["resource_type"] = [longest]
        sizes: list[int] = []
        answer = call_measured(route, world, query, sizes)
        assert answer.status in {200, 400}, answer.text
        assert max(sizes) <= 2048


def call_measured(
    route: Route, world: World, query: dict[str, list[str]], sizes: list[int]
) -> RawAnswer:
    """A request, with the length in bytes of every key value that DynamoDB is asked for."""
    from chalicelib.store.connection import connection

    def note(params: dict[str, Any], **_: Any) -> None:
        asked = json.loads(params["body"])
        for value in asked.get("ExpressionAttributeValues", {}).values():
            sizes.append(len(value.get("S", "").encode()))  # noqa: PERF401 - a handler
        sizes.append(0)

    events = connection().client.meta.events
    events.register("before-call.dynamodb", note)
    try:
        return send(route.request(world, query=query))
    finally:
        events.unregister("before-call.dynamodb", note)


@pytest.mark.parametrize("route", LISTS, ids=str)
@pytest.mark.parametrize(
    "bad",
    ["0", "-1", "101", "1.5", "1e1", "", " ", "ten", "+5", "0x5", "\u0665", "5\u00b2", "9" * 700,
     "null", "NaN", "1,2"],
)  # fmt: skip
def test_a_bad_limit_is_refused(world: World, route: Route, bad: str) -> None:
    problem(call(route, world, query={"limit": [bad]}), 400, "query_invalid")


@pytest.mark.parametrize("route", LISTS, ids=str)
@pytest.mark.parametrize("limit", ["1", "100", "007"])
def test_a_good_limit_is_accepted(world: World, route: Route, limit: str) -> None:
    assert call(route, world, query={"limit": [limit]}).status == 200


def junk_cursors() -> list[str]:
    """Cursors that nobody handed out."""
    position = base64.urlsafe_b64encode(b'["a","b"]').decode().rstrip("=")
    return [
        "", ".", "..", "...", "a.b.c", "x", "k1..", f"k1.{position}.", f"k1.{position}.AAAA",
        f"current.{position}.AAAA", f"nokey.{position}.{'A' * 43}", f"k1.{position}.{'A' * 43}",
        "k1.\U0001f4a5.x", "../../x", "null", "0", "a" * 700, "%00", "é.é.é",
    ]  # fmt: skip


@pytest.mark.parametrize("route", LISTS, ids=str)
@pytest.mark.parametrize("bad", junk_cursors(), ids=range(len(junk_cursors())))
def test_a_junk_cursor_is_refused(world: World, route: Route, bad: str) -> None:
    problem(call(route, world, query={"cursor": [bad]}), 400, "cursor_invalid")


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("since", "yesterday"), ("since", "2026-01-01"), ("since", "2026-01-01T00:00:00"),
        ("since", "1767225600"), ("since", "2026-13-01T00:00:00Z"), ("since", ""),
        ("until", "0001-01-01T00:00:00Z"), ("until", "1969-12-31T23:59:59Z"),
        ("until", "1970-01-01T12:00:00Z"), ("since", "9999-12-31T23:59:59Z"),
        ("until", "9999-12-31T23:59:59-23:59"), ("until", "0001-01-01T00:00:00+23:59"),
        ("until", "9999-12-31T23:59:60Z"), ("since", "2026-01-01T00:00:00+99:99"),
        ("until", "\u0662\u0660\u0662\u0666-01-01T00:00:00Z"), ("order", "random"), ("order", ""),
        ("resource_id", "agt_1"), ("resource_type", "agent"),
    ],
)  # fmt: skip
def test_a_bad_time_order_or_resource_of_the_audit_trail_is_refused(
    world: World, name: str, bad: str
) -> None:
    problem(call(AUDIT, world, query={name: [bad]}), 400, "query_invalid")


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59.999999Z", "2099-01-01T00:00:00%2B01:00"])
def test_a_far_end_of_the_audit_trail_is_no_fault(world: World, until: str) -> None:
    answer = call(AUDIT, world, query={"until": [until]})
    assert answer.status in {200, 400}


@pytest.mark.parametrize(
    ("path", "name", "bad"),
    [
        ("/api/v1/agents", "status", "gone"), ("/api/v1/agents", "status", ""),
        ("/api/v1/agents", "label", "novalue"), ("/api/v1/agents", "label", "=x"),
        ("/api/v1/agents", "label", ""), ("/api/v1/agents", "name", "n" * 64),
        (f"{ENROLLMENT}/tokens", "status", "stolen"), (f"{ENROLLMENT}/tokens", "status", "ACTIVE"),
    ],
)  # fmt: skip
def test_a_bad_filter_is_refused(world: World, path: str, name: str, bad: str) -> None:
    problem(call(of("GET", path), world, query={name: [bad]}), 400, "query_invalid")


@pytest.mark.parametrize(
    ("path", "name", "unknown"),
    [
        ("/api/v1/agents", "name", "é"), ("/api/v1/agents", "name", "~"),
        ("/api/v1/agents", "label", "rack=💥"),
        *((path, "environment", odd)
          for path in ("/api/v1/agents", f"{ENROLLMENT}/tokens")
          for odd in ("", "x", "../x", "env_" + "0" * 20, "#", "💥")),
    ],
)  # fmt: skip
def test_a_filter_that_nothing_fits_gives_an_empty_list(
    world: World, path: str, name: str, unknown: str
) -> None:
    answer = call(of("GET", path), world, query={name: [unknown]})
    assert answer.status == 200
    assert answer.body.pop("next_cursor") is None
    assert list(answer.body.values()) == [[]]
