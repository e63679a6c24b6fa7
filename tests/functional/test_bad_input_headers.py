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


# What people paste, as a header that goes on after the real credential (`{}`), and what is said.
PASTED: dict[str, tuple[str, str, str]] = {
    "two schemes": ("Bearer Bearer {}", "credential_invalid", "twice"),
    "a colon": ("Bearer: {}", "credential_missing", "must follow Bearer"),
    "a tab": ("Bearer\t{}", "credential_missing", "must follow Bearer"),
    "an equals sign": ("Bearer={}", "credential_missing", "must follow Bearer"),
    "no scheme": ("{}", "credential_missing", "no scheme"),
    "another scheme": ("Token {}", "credential_missing", "another scheme"),
    "a quoted scheme": ('"Bearer {}"', "credential_missing", "another scheme"),
    "double quotes": ('Bearer "{}"', "credential_invalid", "quotation marks"),
    "single quotes": ("Bearer '{}'", "credential_invalid", "quotation marks"),
    "backticks": ("Bearer `{}`", "credential_invalid", "quotation marks"),
    "curled quotes": ("Bearer \u201c{}\u201d", "credential_invalid", "as plain text"),
    "a no-break blank behind": ("Bearer {}\u00a0", "credential_invalid", "as plain text"),
    "a no-break blank before": ("Bearer \u00a0{}", "credential_invalid", "as plain text"),
    "a no-break blank for a blank": ("Bearer\u00a0{}", "credential_missing", "must follow Bearer"),
    "a zero width space": ("Bearer {}\u200b", "credential_invalid", "as plain text"),
    "a byte order mark": ("Bearer \ufeff{}", "credential_invalid", "as plain text"),
    "a mark of direction": ("Bearer \u202a{}\u202c", "credential_invalid", "as plain text"),
    "a control character": ("Bearer {}\x1b", "credential_invalid", "as plain text"),
    "a line break behind": ("Bearer {}\n", "credential_invalid", "line break"),
    "a Windows line break": ("Bearer {}\r\n", "credential_invalid", "line break"),
    "a second word": ("Bearer {} x", "credential_invalid", "a blank in it"),
    "pointed brackets": ("Bearer <{}>", "credential_invalid", "placeholder"),
    "the placeholder": ("Bearer <the key>", "credential_invalid", "placeholder"),
    "curly brackets": ("Bearer {{{}}}", "credential_invalid", "placeholder"),
    "a variable": ("Bearer $KEY", "credential_invalid", "placeholder"),
    "percent signs": ("Bearer {}%0A", "credential_invalid", "percent-encoded"),
    "nothing": ("Bearer \t ", "credential_missing", "nothing after Bearer"),
    "an empty header": ("", "credential_missing", "is empty"),
    "two in one": ("Bearer {}, Bearer rco_x", "credential_ambiguous", "several"),
}
AGENTS = of("GET", "/api/v1/agents")


@pytest.mark.parametrize("pasted", PASTED)
def test_what_is_wrong_with_a_pasted_credential_is_said_without_it(
    world: World, pasted: str
) -> None:
    header, code, words = PASTED[pasted]
    key = world.tenant.key
    with database_requests() as seen:
        answer = send(AGENTS.request(world, headers={"authorization": header.format(key)}))
    problem(answer, 401, code)
    assert words in answer.body["detail"]
    assert key[4:] not in answer.text
    assert seen == []


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER {}", " Bearer   {} \t"])
def test_the_case_of_the_scheme_and_blanks_around_it_do_no_harm(world: World, header: str) -> None:
    sent = {"authorization": header.format(world.tenant.key)}
    assert send(AGENTS.request(world, headers=sent)).status == 200


@pytest.mark.parametrize("names", [("Authorization",), ("Authorization", "authorization")])
def test_two_credentials_are_refused_and_the_same_one_twice_is_one(
    world: World, names: tuple[str, ...]
) -> None:
    good = f"Bearer {world.tenant.key}"
    for other, status in ((good, 200), ("Bearer rco_x", 401), (f"Basic {good}", 401), ("", 401)):
        for pair in ([good, other], [other, good]):
            every = (
                {names[0]: pair}
                if len(names) == 1
                else {name: [value] for name, value in zip(names, pair, strict=True)}
            )
            sent = {"headers": {"Authorization": pair[-1]}, "many_headers": every}
            answer = send(AGENTS.request(world, **sent))
            assert answer.status == status, (pair, answer.text)
            if status != 200:
                problem(answer, 401, "credential_ambiguous")


def test_two_cookies_in_two_headers_are_believed_no_more_than_in_one(world: World) -> None:
    session = f"__Host-rollcall_session={world.admin.session}"
    me = of("GET", "/api/v1/me")
    assert send(me.request(world, headers={"cookie": session})).status == 200
    for every in ([session, session], [session, "__Host-rollcall_session=x"]):
        answer = send(
            me.request(world, headers={"cookie": every[-1]}, many_headers={"Cookie": every})
        )
        problem(answer, 401, "credential_missing")
    split = {"cookie": "a=b", "many_headers": {"Cookie": [session, "a=b"]}}
    answer = send(me.request(world, headers={"cookie": "a=b"}, many_headers=split["many_headers"]))
    assert answer.status == 200


@pytest.mark.parametrize("token", ["{}\n", " {}", "\u00a0{}", '"{}"', "<{}>", "Bearer {}"])
def test_what_is_wrong_with_a_token_in_the_body_is_said_and_costs_it_nothing(
    world: World, token: str
) -> None:
    secret = world.token["token"]
    body = json.dumps({"hostname": "host-1", "token": token.format(secret)})
    with database_requests() as seen:
        answer = send(EXCHANGE.request(world, headers={}, body=body))
    problem(answer, 401, "credential_invalid")
    assert answer.body["detail"].startswith("The credential ")
    assert secret[4:] not in answer.text
    assert seen == []


@pytest.mark.parametrize("name", ["Idempotency-Key", "Content-Type"])
def test_a_header_with_two_values_is_refused_before_the_token_is_looked_up(
    world: World, name: str
) -> None:
    sent = EXCHANGE.request(world)
    values = ["application/json", "text/plain"] if name == "Content-Type" else ["a" * 22, "b" * 22]
    sent.headers[name.lower()] = values[-1]
    sent.many_headers = {key: [value] for key, value in sent.headers.items()}
    sent.many_headers[name.lower()] = values
    with database_requests() as seen:
        problem(send(sent), 400, "header_repeated")
    assert seen == []


@pytest.mark.parametrize(
    "kind",
    ["", " ", "json", "text/json", "application/json-patch+json", "application/jsonx",
     "application\u00a0/json", "*/*", "application/json, text/plain", "x" * 9_000],
)  # fmt: skip
def test_another_content_type_is_refused_in_words(world: World, kind: str) -> None:
    sent = EXCHANGE.request(world)
    sent.headers["content-type"] = kind
    problem(call(EXCHANGE, world, headers=sent.headers), 415, "content_type_unsupported")


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
