"""What is asked of a provider, how often, and what is made of its answers."""

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import Key

from chalicelib.federation.directory import Directory
from chalicelib.federation.failures import ProviderError, TokenError
from chalicelib.federation.fetch import Fetched, Fetcher, Place
from chalicelib.federation.provider import Challenge, Client
from tests.unit.federation import forge
from tests.unit.federation.forge import CLIENT, EC, ISSUER, NONCE, NOW, RSA, signed

CHALLENGE = Challenge("s" * 43, NONCE, "v" * 43)
BACK = "https://rollcall.example/callback"


class Answers(Fetcher):
    """A provider's answers without a network, and what it was asked."""

    def __init__(self, **metadata: Any) -> None:
        super().__init__()
        self.metadata = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            **metadata,
        }
        self.keys: list[Key] = [RSA]
        self.token = signed(RSA, "RS256")
        self.asked: list[str] = []
        self.posted: list[tuple[dict[str, str], dict[str, str]]] = []
        self.down = False
        self.said: bytes | None = None
        self.token_answer: Fetched | None = None

    def get(self, where: Place) -> Fetched:
        self.asked.append(where.target)
        if self.down:
            raise ProviderError("unreachable", "test")
        if self.said is not None:
            return Fetched(200, self.said)
        if where.target == "/keys":
            return _json({"keys": [forge.public(key) for key in self.keys]})
        return _json(self.metadata)

    def post(self, where: Place, form: str, headers: dict[str, str]) -> Fetched:
        self.asked.append(where.target)
        self.posted.append(({k: v for k, (v,) in parse_qs(form).items()}, headers))
        return self.token_answer or _json({"id_token": self.token, "token_type": "Bearer"})


def _json(content: Any, status: int = 200) -> Fetched:
    return Fetched(status, json.dumps(content).encode())


class Clock:
    def __init__(self) -> None:
        self.now = NOW * 1000

    def __call__(self) -> int:
        return self.now


def claims(directory: Directory, secret: str | None = None) -> dict[str, Any]:
    return directory.claims(
        ISSUER, Client(CLIENT, secret), code="the code", redirect_uri=BACK, challenge=CHALLENGE
    )


def begin(directory: Directory) -> str:
    return directory.authorization_url(ISSUER, Client(CLIENT, None), BACK, ["openid"], CHALLENGE)


def test_metadata_and_keys_are_kept_for_some_minutes() -> None:
    answers, clock = Answers(), Clock()
    directory = Directory(answers, clock)
    for _ in range(3):
        begin(directory)
        assert claims(directory)["sub"] == "subject"
    assert answers.asked.count("/.well-known/openid-configuration") == 1
    assert answers.asked.count("/keys") == 1
    clock.now += 300_000
    answers.token = signed(RSA, "RS256", forge.claims(exp=NOW + 900, iat=NOW + 300))
    claims(directory)
    assert answers.asked.count("/.well-known/openid-configuration") == 2
    assert answers.asked.count("/keys") == 2


def test_an_unknown_key_id_fetches_the_keys_again_once_a_minute_at_most() -> None:
    answers, clock = Answers(), Clock()
    directory = Directory(answers, clock)
    claims(directory)
    answers.keys = [EC]
    answers.token = signed(EC, "ES256")
    clock.now += 59_999
    for _ in range(3):
        with pytest.raises(TokenError, match="key_unknown"):
            claims(directory)
    assert answers.asked.count("/keys") == 1
    clock.now += 1
    assert claims(directory)["sub"] == "subject"
    assert answers.asked.count("/keys") == 2
    answers.token = signed(RSA, "RS256")
    with pytest.raises(TokenError, match="key_unknown"):
        claims(directory)
    assert answers.asked.count("/keys") == 2


def test_a_key_that_was_withdrawn_is_not_trusted_for_long() -> None:
    answers, clock = Answers(), Clock()
    directory = Directory(answers, clock)
    claims(directory)
    answers.keys = [EC]
    clock.now += 300_000
    answers.token = signed(RSA, "RS256", forge.claims(exp=NOW + 900, iat=NOW + 300))
    with pytest.raises(TokenError, match="key_unknown"):
        claims(directory)


def test_a_provider_that_failed_is_not_asked_again_at_once() -> None:
    answers, clock = Answers(), Clock()
    answers.down = True
    directory = Directory(answers, clock)
    for _ in range(5):
        with pytest.raises(ProviderError, match="unreachable"):
            begin(directory)
    assert len(answers.asked) == 1
    answers.down = False
    clock.now += 9_999
    with pytest.raises(ProviderError):
        begin(directory)
    clock.now += 1
    assert begin(directory)


def test_a_code_that_is_refused_makes_nobody_else_wait() -> None:
    answers = Answers()
    directory = Directory(answers, Clock())
    answers.token_answer = _json({"error": "invalid_grant", "error_description": "secret"}, 400)
    with pytest.raises(TokenError) as caught:
        claims(directory)
    assert caught.value.reason == "code_refused:invalid_grant"
    answers.token_answer = None
    assert claims(directory)["sub"] == "subject"


def status(code: int) -> Fetched:
    return Fetched(code, b"")


@pytest.mark.parametrize(
    "answer", [status(400), status(431), status(429), status(500), status(502)]
)
def test_what_a_token_endpoint_refuses_stops_nobody_elses_login(answer: Fetched) -> None:
    answers = Answers()
    directory = Directory(answers, Clock())
    answers.token_answer = answer
    with pytest.raises((TokenError, ProviderError)):
        claims(directory)
    answers.token_answer = None
    assert claims(directory)["sub"] == "subject"


def test_a_client_that_the_provider_takes_no_way_stops_no_other_client() -> None:
    answers = Answers(token_endpoint_auth_methods_supported=["none", "private_key_jwt"])
    directory = Directory(answers, Clock())
    with pytest.raises(ProviderError, match="client_authentication"):
        claims(directory, secret="x")
    assert claims(directory)["sub"] == "subject"
    assert begin(directory)


def test_keys_that_cannot_be_had_are_not_asked_for_again_at_once() -> None:
    answers, clock = Answers(), Clock()
    directory = Directory(answers, clock)
    begin(directory)
    answers.down = True
    for _ in range(3):
        with pytest.raises(ProviderError, match="unreachable"):
            claims(directory)
    assert answers.asked.count("/keys") == 1
    # No code is spent where its token could not be verified.
    assert answers.asked.count("/token") == 1


def test_a_provider_is_known_while_its_metadata_are_kept() -> None:
    answers, clock = Answers(), Clock()
    directory = Directory(answers, clock)
    assert not directory.knows(ISSUER)
    begin(directory)
    assert directory.knows(ISSUER)
    clock.now += 300_000
    assert not directory.knows(ISSUER)


def test_what_binds_a_login_to_its_browser_is_not_shown() -> None:
    assert repr(CHALLENGE) == "Challenge()"


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://other.example"},
        {"issuer": ISSUER + "/"},
        {"issuer": ISSUER.upper()},
        {"issuer": None},
        {"authorization_endpoint": "http://idp.example/auth"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://idp.example/token"},
        {"token_endpoint": "https://user@idp.example/token"},
        {"token_endpoint": "https://idp.example:9000/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://idp.example:22/keys"},
        {"jwks_uri": None},
        {"jwks_uri": ["https://idp.example/keys"]},
    ],
)
def test_metadata_that_is_not_this_issuers_or_names_other_than_https_is_refused(
    changed: dict[str, Any],
) -> None:
    with pytest.raises(ProviderError):
        begin(Directory(Answers(**changed), Clock()))


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_metadata_that_cannot_be_read_is_refused(body: bytes) -> None:
    answers = Answers()
    answers.said = body
    with pytest.raises(ProviderError, match="discovery_failed"):
        begin(Directory(answers, Clock()))


def test_the_verifier_is_sent_with_the_code_and_only_its_hash_before() -> None:
    answers = Answers()
    directory = Directory(answers, Clock())
    assert "v" * 43 not in begin(directory)
    claims(directory)
    ((form, headers),) = answers.posted
    assert form == {
        "grant_type": "authorization_code",
        "code": "the code",
        "redirect_uri": BACK,
        "code_verifier": "v" * 43,
        "client_id": CLIENT,
    }
    assert headers == {}


@pytest.mark.parametrize(
    ("supported", "way"),
    [
        (None, "basic"),
        (["client_secret_post", "client_secret_basic"], "basic"),
        (["client_secret_post"], "post"),
    ],
)
def test_a_client_says_who_it_is_in_a_way_that_the_provider_takes(
    supported: list[str] | None, way: str
) -> None:
    more = {"token_endpoint_auth_methods_supported": supported} if supported else {}
    answers = Answers(**more)
    claims(Directory(answers, Clock()), secret="a:b c%")
    ((form, headers),) = answers.posted
    if way == "post":
        assert (form["client_id"], form["client_secret"]) == (CLIENT, "a:b c%")
        assert headers == {}
    else:
        assert "client_secret" not in form
        encoded = headers["Authorization"].removeprefix("Basic ")
        assert base64.b64decode(encoded).decode() == f"{CLIENT}:a%3Ab+c%25"


def test_a_secret_is_not_sent_where_the_provider_takes_none() -> None:
    answers = Answers(token_endpoint_auth_methods_supported=["private_key_jwt"])
    with pytest.raises(ProviderError, match="client_authentication"):
        claims(Directory(answers, Clock()), secret="x")
    assert answers.posted == []


@pytest.mark.parametrize(
    "answer",
    [
        Fetched(500, b"{}"),
        Fetched(200, b"{}"),
        Fetched(200, b"junk"),
        Fetched(200, b'{"id_token": 7}'),
        Fetched(200, b'{"id_token": "a.b.c", "token_type": "mac"}'),
    ],
)
def test_an_answer_without_an_id_token_is_the_providers_fault(answer: Fetched) -> None:
    answers = Answers()
    answers.token_answer = answer
    with pytest.raises(ProviderError, match="exchange_failed"):
        claims(Directory(answers, Clock()))


def test_an_endpoint_with_a_query_keeps_it() -> None:
    answers = Answers(authorization_endpoint=f"{ISSUER}/auth?p=policy")
    query = parse_qs(urlsplit(begin(Directory(answers, Clock()))).query)
    assert query["p"] == ["policy"]
    assert query["client_id"] == [CLIENT]
