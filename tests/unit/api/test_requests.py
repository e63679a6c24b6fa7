from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from chalice.app import Request

from chalicelib import fields
from chalicelib.api import requests
from chalicelib.errors import DomainError, Malformed, TooLarge, UnsupportedType


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    labels: dict[str, str] = {}


class Anything(msgspec.Struct, forbid_unknown_fields=True):
    facts: Any = None


class Optional(msgspec.Struct, forbid_unknown_fields=True):
    note: str | None = None


def request(
    body: str | bytes | None = None,
    *,
    headers: dict[str, str] | None = None,
    query: dict[str, list[str]] | None = None,
    context: dict[str, Any] | None = None,
    path: str = "/x",
    every: dict[str, list[str]] | None = None,
) -> Request:
    """A request as Chalice makes it of an event."""
    return Request(
        {
            "multiValueQueryStringParameters": query,
            "headers": headers,
            "multiValueHeaders": every,
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


class Level(StrEnum):
    LOW = "low"
    HIGH = "high"


class Everything(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: fields.DisplayName = "x"
    labels: fields.Labels = {}
    count: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    flag: bool = False
    note: fields.Note | None = None
    agent: fields.AgentId | None = None
    level: Level | None = None
    decision: Literal["keep", "split"] = "keep"
    levels: dict[str, Level] = {}
    scopes: Annotated[list[Literal["a", "b"]], msgspec.Meta(min_length=1, max_length=2)] = (
        msgspec.field(default_factory=list)
    )
    number: float = 0.0


_INVISIBLE = (
    "must not hold U+200B: it is a control character, shows nothing, or turns the direction of the"
    " text"
)


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ('{"name": 1}', "name", "must be text"),
        ('{"name": ""}', "name", "must not be empty"),
        ('{"name": "a\\u200bb"}', "name", _INVISIBLE),
        ('{"note": 1}', "note", "must be text or null, not a whole number"),
        ('{"note": ""}', "note", "must not be empty"),
        ('{"note": "a\\u0000"}', "note", "must be text without control characters"),
        ('{"flag": "yes"}', "flag", "must be true or false, not text"),
        ('{"count": 0}', "count", "must be at least 1"),
        ('{"count": 10}', "count", "must be at most 9"),
        ('{"count": 1.5}', "count", "must be a whole number, not one with a fraction"),
        ('{"count": null}', "count", "must be a whole number, not null"),
        ('{"number": []}', "number", "must be a number, not a list"),
        ('{"agent": "agt_x"}', "agent", "must be the identifier of an agent, as in agt_…"),
        ('{"level": "mid"}', "level", "must be one of high, low"),
        ('{"levels": {"x": "mid"}}', "levels[...]", "must be one of high, low"),
        ('{"decision": "no"}', "decision", "must be one of keep, split"),
        ('{"scopes": ["a", "c"]}', "scopes[1]", "must be one of a, b"),
        ('{"scopes": []}', "scopes", "must not be empty"),
        ('{"scopes": ["a", "a", "a"]}', "scopes", "must have at most 2 elements"),
        ('{"labels": {"b": 1}}', "labels[...]", "must be text"),
        ("[]", "", "must be an object, not a list"),
        ('{"x`y": 1}', "", "there is no member x`y here"),
        ('{"number": ' + "9" * 400 + "}", "number", "the number is too large"),
    ],
)
def test_what_is_wrong_is_said_in_words_and_at_its_place(
    body: str, path: str, message: str
) -> None:
    error = refused(request(body), Everything)
    assert error.code == "validation_failed"
    assert error.extra["errors"] == [{"path": path, "message": message}]


def test_a_missing_member_is_named() -> None:
    error = refused(request("{}"))
    assert error.extra["errors"] == [{"path": "", "message": "the member name is missing"}]


def test_the_place_of_a_bad_key_is_named() -> None:
    from chalicelib.flows.agents import UpdateAgentRequest

    error = refused(request('{"labels": {"BAD": "x"}}'), UpdateAgentRequest)
    assert error.extra["errors"][0]["path"] == "labels"


def test_an_answer_does_not_grow_with_a_members_name() -> None:
    error = refused(request('{"' + "u" * 60_000 + '": 1}'))
    assert len(error.extra["errors"][0]["message"]) == 300


def nested(levels: int, *pairs: str) -> str:
    """A member of so many levels, of each pair of brackets in turn."""
    turns = [pairs[level % len(pairs)].split("|") for level in range(levels)]
    return "".join(a for a, _ in turns) + "1" + "".join(b for _, b in reversed(turns))


@pytest.mark.parametrize("levels", [99, 100, 500, *range(960, 1000, 3), 1_000, 5_000])
@pytest.mark.parametrize("pairs", [("[|]",), ('{"a":|}',), ('{"a":|}', "[|]")])
def test_a_body_that_is_nested_too_deeply_is_the_callers_fault(
    levels: int, pairs: tuple[str, ...]
) -> None:
    sent = request('{"facts": ' + nested(levels, *pairs) + "}")
    if levels < requests.DEEPEST_BODY:
        requests.body(sent, Anything)
    else:
        assert refused(sent, Anything).code == "json_invalid"


def test_brackets_in_a_text_are_not_levels() -> None:
    text = "[" * 200 + r"\"[{" + "}"
    assert requests.body(request('{"facts": "' + text + '"}'), Anything)


@pytest.mark.parametrize("raw", ['{"facts": "' + "[" * 300, '{"facts": "' + '\\"[' * 20_000])
def test_an_unfinished_text_is_read_once(raw: str) -> None:
    assert refused(request(raw), Anything).code == "json_invalid"


NO_JSON: list[str | bytes] = [
    "NaN", "Infinity", "-Infinity", "01", "+1", "0x10", "'a'", "True", '"\\ud800"', '"\\udc00"',
    '{"\\ud800": 1}', b'"\xff"', b'"\xc3\x28"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'{"\xff": 1}',
    '"\ufffd"', '{"\ufffd": 1}', '"\ud800"', "[1,]", '"a\nb"', '"\t"', "1}{", "/* */ 1",
    '{"a": 1, "a": 2}', '[{"a": 1, "\\u0061": 2}]',
]  # fmt: skip


@pytest.mark.parametrize("value", NO_JSON, ids=ascii)
def test_what_is_no_json_in_utf_8_is_the_callers_fault(value: str | bytes) -> None:
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    assert refused(request(b'{"facts": ' + raw + b"}"), Anything).code == "json_invalid"


@pytest.mark.parametrize(
    "number", ["9" * 5_000, "-" + "9" * 5_000, "1e999999", "9" * 400 + ".5", "1e" + "9" * 5_000]
)
def test_a_number_out_of_all_bounds_is_the_callers_fault(number: str) -> None:
    error = refused(request('{"facts": ' + number + "}"), Anything)
    assert (error.code, error.status) == ("validation_failed", 400)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_another_encoding_than_utf_8_is_refused(encoding: str) -> None:
    raw = '{"facts": "\u00e9"}'.encode(encoding)
    assert refused(request(raw), Anything).code == "json_invalid"


def test_the_replacement_character_can_be_sent_as_an_escape() -> None:
    read = requests.body(request('{"facts": "\\ufffd"}'), Anything)
    assert read.facts == "\ufffd"


@pytest.mark.parametrize("name", ["idempotency-key", "content-type"])
def test_a_header_that_says_two_things_is_refused(name: str) -> None:
    sent = request("{}", headers={name: "b"}, every={name.title(): ["a", "b"]})
    with pytest.raises(Malformed) as raised:
        requests.header(sent, name)
    assert raised.value.code == "header_repeated"
    same = request("{}", headers={name: "a"}, every={name.title(): ["a", "a"]})
    assert requests.header(same, name) == "a"


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
