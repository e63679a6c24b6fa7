from typing import Any

import msgspec
import pytest
from chalice.app import Request

from chalicelib.api import requests
from chalicelib.errors import DomainError, Malformed, TooLarge, UnsupportedType


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    labels: dict[str, str] = {}


class Optional(msgspec.Struct, forbid_unknown_fields=True):
    note: str | None = None


def request(
    body: str | bytes | None = None,
    *,
    headers: dict[str, str] | None = None,
    query: dict[str, list[str]] | None = None,
    context: dict[str, Any] | None = None,
    path: str = "/x",
) -> Request:
    """A request as Chalice makes it of an event."""
    return Request(
        {
            "multiValueQueryStringParameters": query,
            "headers": headers,
            "pathParameters": {},
            "requestContext": {"httpMethod": "POST", "resourcePath": "/x", **(context or {})},
            "body": body,
            "stageVariables": {},
            "path": path,
        }
    )


def refused(what: Request, kind: type[Any] = Wish) -> DomainError:
    """What reading a body ends with."""
    with pytest.raises(DomainError) as raised:
        requests.body(what, kind)
    return raised.value


def test_a_good_body_is_read() -> None:
    read = requests.body(request('{"name": "a", "labels": {"b": "c"}}'), Wish)
    assert read == Wish("a", {"b": "c"})


def test_an_absent_body_may_stand_for_an_empty_one() -> None:
    for nothing in (None, "", b""):
        assert requests.body(request(nothing), Optional, optional=True) == Optional()
        assert refused(request(nothing), Optional).code == "body_missing"


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ('{"name": 1}', "name", "Expected `str`, got `int`"),
        ("{}", "", "Object missing required field `name`"),
        ('{"name": "a", "labels": {"b": 1}}', "labels[...]", "Expected `str`, got `int`"),
        ("[]", "", "Expected `object`, got `array`"),
        ('{"name": "a", "x`y": 1}', "", "Object contains unknown field `x`y`"),
    ],
)
def test_the_place_of_what_is_wrong_is_named(body: str, path: str, message: str) -> None:
    error = refused(request(body))
    assert error.code == "validation_failed"
    assert error.extra["errors"] == [{"path": path, "message": message}]


def test_the_place_of_a_bad_key_is_named() -> None:
    from chalicelib.flows.agents import UpdateAgentRequest

    error = refused(request('{"labels": {"BAD": "x"}}'), UpdateAgentRequest)
    assert error.extra["errors"][0]["path"] == "labels"


def test_an_answer_does_not_grow_with_a_members_name() -> None:
    error = refused(request('{"' + "u" * 60_000 + '": 1}'))
    assert len(error.extra["errors"][0]["message"]) == 300


@pytest.mark.parametrize(
    "body", ['{"name": "a", "name": "a"}', '{"name": "a", "labels": {"b": "1", "b": "2"}}']
)
def test_a_member_that_is_given_twice_is_refused(body: str) -> None:
    assert refused(request(body)).code == "json_invalid"


def test_size_is_measured_in_bytes() -> None:
    room = requests.LARGEST_BODY - len(b'{"name": ""}')
    assert requests.body(request('{"name": "' + "x" * room + '"}'), Wish).name == "x" * room
    assert isinstance(refused(request('{"name": "' + "x" * (room + 1) + '"}')), TooLarge)
    assert isinstance(refused(request('{"name": "' + "é" * (room // 2 + 1) + '"}')), TooLarge)


def test_another_content_type_is_refused() -> None:
    headers = {"Content-Type": "text/plain"}
    assert isinstance(refused(request("{}", headers=headers)), UnsupportedType)


def test_a_route_with_a_body_takes_no_parameters() -> None:
    assert refused(request('{"name": "a"}', query={"x": ["1"]})).code == "query_invalid"


def test_parameters_are_read_once_each() -> None:
    assert requests.query(request(query={"a": ["1"], "b": [""]}), "a", "b") == {"a": "1", "b": ""}
    assert requests.query(request(query=None), "a") == {}


@pytest.mark.parametrize(
    "query",
    [{"b": ["1"]}, {"a": ["1", "2"]}, {"a": []}, {"a": ["\x00"]}, {"a": ["\ud800"]},
     {"a": ["x" * 769]},
     {"a": ["\U0001f4a5" * 193]}, {"\ud800": ["1"]}, {"x" * 9_000: ["1"]}],
)  # fmt: skip
def test_a_bad_parameter_is_refused_and_named_printably(query: dict[str, list[str]]) -> None:
    with pytest.raises(Malformed) as raised:
        requests.query(request(query=query), "a")
    assert raised.value.code == "query_invalid"
    assert len(msgspec.json.encode(raised.value.extra)) < 400


@pytest.mark.parametrize("text", ["1", "9", "10", "01"])
def test_a_whole_number_within_bounds_is_read(text: str) -> None:
    given = {"limit": text}
    assert requests.whole_number(given, "limit", default=5, least=1, most=10) == int(text)


@pytest.mark.parametrize(
    "text", ["0", "11", "", "-1", "+1", "1.0", "\u0665", "\u00b2", "1" * 5000, " 1"]
)
def test_any_other_number_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        requests.whole_number({"limit": text}, "limit", default=5, least=1, most=10)


def test_an_absent_parameter_has_its_default() -> None:
    assert requests.whole_number({}, "limit", default=5, least=1, most=10) == 5
    assert requests.one_of({}, "order", ("a", "b")) is None


def test_a_word_that_is_not_on_the_list_is_refused() -> None:
    assert requests.one_of({"order": "b"}, "order", ("a", "b")) == "b"
    for word in ("", "B", "a,b"):
        with pytest.raises(Malformed):
            requests.one_of({"order": word}, "order", ("a", "b"))


@pytest.mark.parametrize("key", ["x" * 22, "x" * 128, "A-_9" * 10])
def test_a_good_idempotency_key_is_read(key: str) -> None:
    assert requests.idempotency_key(request(headers={"Idempotency-Key": key})) == key


@pytest.mark.parametrize(
    "key", ["", "x" * 21, "x" * 129, "x" * 22 + "\n", "x" * 22 + "=", "é" * 22]
)
def test_a_bad_idempotency_key_is_refused(key: str) -> None:
    with pytest.raises(Malformed) as raised:
        requests.idempotency_key(request(headers={"idempotency-key": key}))
    assert raised.value.code == "idempotency_key_invalid"


def test_no_idempotency_key_is_none() -> None:
    assert requests.idempotency_key(request(headers=None)) is None


@pytest.mark.parametrize(
    ("configured", "context", "path", "expected"),
    [
        ("https://api.example/", {}, "/x", "https://api.example"),
        (None, {"domainName": "d.example", "path": "/prod/x"}, "/x", "https://d.example/prod"),
        (None, {"domainName": "d.example", "path": "/x"}, "/x", "https://d.example"),
        (None, {}, "/x", "https://localhost"),
    ],
)
def test_the_public_url_is_the_setting_or_what_the_gateway_says(
    configured: str | None, context: dict[str, Any], path: str, expected: str
) -> None:
    asked = request(context=context, path=path, headers={"host": "evil.example"})
    assert requests.public_url(asked, configured) == expected
