"""Logging in through an organization's identity provider: authorization code with PKCE.

Between its two halves nothing is kept but a sealed cookie in the browser: a flood of beginnings
writes nothing, and an answer of the provider is worth nothing in another browser.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from chalicelib.credentials.sealed import UnsealableError, seal, unseal
from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Unauthenticated, Unavailable
from chalicelib.federation.failures import ProviderError, TokenError
from chalicelib.federation.provider import Challenge, Client
from chalicelib.flows import oidc_configuration, oidc_people
from chalicelib.flows.contention import Patience
from chalicelib.flows.refusals import RefusalLog
from chalicelib.flows.sessions import Opened, Visit
from chalicelib.store import identity_providers
from chalicelib.store.identity_providers import IdentityProvider

if TYPE_CHECKING:
    from chalicelib.federation.directory import Directory

LIFE_MS = 600_000
_PURPOSE = "oidc-login"
_RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class Tools:
    """What a login works with."""

    keyring: Keyring
    providers: "Directory"
    patience: Patience
    refusals: RefusalLog


class _Begun(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed into the browser's cookie."""

    organization: str
    issuer: str
    client_id: str
    challenge: Challenge
    expires_at: int

    def __repr__(self) -> str:
        return f"_Begun({self.organization})"


@dataclass(frozen=True, slots=True)
class Started:
    """Where the browser is sent, and what it keeps meanwhile."""

    url: str = field(repr=False)
    cookie: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Returned:
    """With what the provider sent the browser back, and what that had kept."""

    cookie: str | None = field(repr=False)
    state: str | None = field(repr=False)
    code: str | None = field(repr=False)
    issuer: str | None
    error: str | None


def start(tools: Tools, organization: str, redirect_uri: str, now: int) -> Started:
    """Begin a login. Nothing is written.

    Raises:
        NotFound: no such organization, or one without a provider in use.
        Unavailable: the provider does not answer as it should.
    """
    provider = identity_providers.find_in_use(organization)
    if provider is None:
        raise oidc_configuration.unknown()
    challenge = Challenge(*(secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3)))
    # The secret is not needed to ask; it is opened when it is.
    client = Client(provider.client_id, None)
    try:
        url = tools.providers.authorization_url(
            provider.issuer, client, redirect_uri, provider.scopes, challenge
        )
    except ProviderError as error:
        raise _unavailable(error) from error
    begun = _Begun(organization, provider.issuer, provider.client_id, challenge, now + LIFE_MS)
    return Started(url, seal(tools.keyring, _PURPOSE, msgspec.json.encode(begun)))


def finish(tools: Tools, visit: Visit, returned: Returned, redirect_uri: str) -> Opened:
    """End a login with a session.

    A repeated answer of the provider opens no second session: a code is good once, and the
    provider refuses it the second time.

    Raises:
        Unauthenticated: this browser began no such login, it took too long, or the provider does
            not vouch for anybody.
        Forbidden: who came has no role here.
        Unavailable: the provider does not answer as it should.
    """
    begun = _begun(tools.keyring, returned, visit.now)
    provider = identity_providers.find_in_use(begun.organization)
    if provider is None:
        raise oidc_configuration.unknown()
    if (provider.issuer, provider.client_id) != (begun.issuer, begun.client_id):
        raise _state("login_state_invalid", "the provider was changed meanwhile")
    try:
        claims = _claims(tools, begun, provider, returned, redirect_uri)
    except TokenError as error:
        raise _failed(error.reason) from error
    except ProviderError as error:
        raise _unavailable(error) from error
    who = oidc_people.identity(provider, claims)
    return oidc_people.admit(tools.patience, tools.refusals, visit, begun.organization, who)


def _begun(keyring: Keyring, returned: Returned, now: int) -> _Begun:
    """What this browser began, if the answer is to that."""
    if returned.cookie is None or returned.state is None:
        raise _state("login_state_invalid", "no cookie or no state")
    try:
        begun = msgspec.json.decode(unseal(keyring, _PURPOSE, returned.cookie), type=_Begun)
    except (UnsealableError, msgspec.DecodeError) as error:
        raise _state("login_state_invalid", str(error)) from error
    if not hmac.compare_digest(begun.challenge.state.encode(), returned.state.encode()):
        raise _state("login_state_invalid", "another state")
    if begun.expires_at <= now:
        raise _state("login_state_expired", "too late")
    return begun


def _claims(
    tools: Tools, begun: _Begun, provider: IdentityProvider, returned: Returned, redirect_uri: str
) -> dict[str, object]:
    if returned.issuer is None:
        if tools.providers.names_itself(provider.issuer):
            raise TokenError("issuer_missing")
    elif returned.issuer != provider.issuer:
        # RFC 9207: another provider's answer, carried here to have its code sent to this one.
        raise TokenError("issuer_mismatch")
    if returned.error is not None or not returned.code:
        raise TokenError("provider_refused")
    secret = oidc_configuration.client_secret(tools.keyring, begun.organization, provider)
    return tools.providers.claims(
        provider.issuer,
        Client(provider.client_id, secret),
        code=returned.code,
        redirect_uri=redirect_uri,
        challenge=begun.challenge,
    )


def _state(code: str, cause: str) -> Unauthenticated:
    return Unauthenticated(
        "This browser began no such login, or too long ago. Begin anew.", code=code, cause=cause
    )


def _failed(cause: str) -> Unauthenticated:
    return Unauthenticated("The login was not accepted.", code="login_failed", cause=cause)


def _unavailable(error: ProviderError) -> Unavailable:
    return Unavailable(
        "The identity provider cannot be asked at the moment.",
        code="identity_provider_unavailable",
        cause=str(error),
        seconds=10,
    )
