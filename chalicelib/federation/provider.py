"""OpenID providers: discovery, the way to them, and the exchange of a code for an ID token.

OpenID Connect Core and Discovery 1.0, RFC 6749, RFC 7636 (PKCE) and RFC 9207.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import msgspec

from chalicelib.federation.failures import ProviderError, TokenError
from chalicelib.federation.fetch import Fetcher, Place, place

WELL_KNOWN = "/.well-known/openid-configuration"
_LONGEST_TOKEN = 64 * 1024
_OK = 200
_REFUSALS = (400, 401, 403)


class Metadata(msgspec.Struct, frozen=True):
    """What a provider says of itself; members that nobody here reads are passed over."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    # The standard's own default, where nothing is said.
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True)
class Client:
    """What the provider knows the control plane as."""

    client_id: str
    secret: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Challenge:
    """What binds an answer of the provider to the browser that asked."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


class _TokenAnswer(msgspec.Struct, frozen=True):
    id_token: str
    token_type: str = "Bearer"  # noqa: S105 - the only type there is


class _Refusal(msgspec.Struct, frozen=True):
    error: str = ""


def issuer_place(issuer: str) -> Place:
    """Take an issuer apart.

    Raises:
        ProviderError: it is none: https, without a query or a fragment.
    """
    if "?" in issuer:
        raise ProviderError("address_invalid", "an issuer has no query")
    return place(issuer)


def discover(fetcher: Fetcher, issuer: str) -> Metadata:
    """Read a provider's metadata.

    Raises:
        ProviderError: it cannot be had, or is not this issuer's.
    """
    home = issuer_place(issuer)
    answer = fetcher.get(place(issuer.rstrip("/") + WELL_KNOWN, port=home.port))
    if answer.status != _OK:
        raise ProviderError("discovery_failed", f"status {answer.status}")
    try:
        found = msgspec.json.decode(answer.body, type=Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError("discovery_failed", "the metadata cannot be read") from error
    # Discovery 1.0, section 4.3: exactly, or one provider could speak for another.
    if found.issuer != issuer:
        raise ProviderError("issuer_mismatch", "the metadata is another issuer's")
    for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
        place(endpoint, port=home.port)
    return found


def authorization_url(
    metadata: Metadata, client: Client, redirect_uri: str, scopes: list[str], challenge: Challenge
) -> str:
    """Where the browser is sent."""
    digest = hashlib.sha256(challenge.verifier.encode()).digest()
    parameters = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": challenge.state,
        "nonce": challenge.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    separator = "&" if "?" in metadata.authorization_endpoint else "?"
    return metadata.authorization_endpoint + separator + urlencode(parameters)


def exchange_code(
    fetcher: Fetcher,
    metadata: Metadata,
    client: Client,
    *,
    code: str,
    redirect_uri: str,
    verifier: str,
) -> str:
    """Trade a code for the raw ID token.

    Raises:
        TokenError: the provider refused the code (used, expired, another client's) or the client.
        ProviderError: it did not answer as the standard says.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    headers: dict[str, str] = {}
    _authenticate(metadata, client, form, headers)
    port = issuer_place(metadata.issuer).port
    answer = fetcher.post(place(metadata.token_endpoint, port=port), urlencode(form), headers)
    if answer.status in _REFUSALS:
        raise TokenError(f"code_refused:{_refusal(answer.body)}")
    if answer.status != _OK:
        raise ProviderError("exchange_failed", f"status {answer.status}")
    try:
        given = msgspec.json.decode(answer.body, type=_TokenAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError("exchange_failed", "the answer has no ID token") from error
    if given.token_type.lower() != "bearer" or len(given.id_token) > _LONGEST_TOKEN:
        raise ProviderError("exchange_failed", "an answer of another kind")
    return given.id_token


def _authenticate(
    metadata: Metadata, client: Client, form: dict[str, str], headers: dict[str, str]
) -> None:
    """Say who asks, by the first way that both sides know."""
    if client.secret is None:
        form["client_id"] = client.client_id
        return
    methods = metadata.token_endpoint_auth_methods_supported
    if "client_secret_basic" in methods:
        # RFC 6749, section 2.3.1: both are form-encoded first.
        pair = f"{quote_plus(client.client_id)}:{quote_plus(client.secret)}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    elif "client_secret_post" in methods:
        form["client_id"] = client.client_id
        form["client_secret"] = client.secret
    else:
        raise ProviderError("client_authentication", "the provider takes no client secret")


def _refusal(body: bytes) -> str:
    """The provider's error code, where it is one; nothing else that it says goes into a log."""
    try:
        error = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "unknown"
    known = error.isascii() and error.replace("_", "").isalpha() and len(error) <= 64  # noqa: PLR2004
    return error if known else "unknown"
