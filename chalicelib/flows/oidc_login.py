"""Logging in through an organization's identity provider: authorization code with PKCE.

Between its two halves nothing is kept but a sealed cookie in the browser: an answer of the provider
is worth nothing in another browser, and is taken once.
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
from chalicelib.flows import oidc_configuration, oidc_guard, oidc_people
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
    """With what the provider sent the browser back, to whose address, and what that had kept."""

    organization: str
    cookie: str | None = field(repr=False)
    state: str | None = field(repr=False)
    code: str | None = field(repr=False)
    issuer: str | None
    error: str | None


def start(tools: Tools, visit: Visit, organization: str, redirect_uri: str) -> Started:
    """Begin a login. Nothing is written, unless the provider has to be asked what it is.

    Raises:
        NotFound: no such organization, or one without a provider in use.
        TooMany: providers were asked too often, for the source or the stage.
        Unavailable: the provider does not answer as it should.
    """
    provider = identity_providers.find_in_use(organization)
    if provider is None:
        raise oidc_configuration.unknown()
    challenge = Challenge(*(secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3)))
    # The secret is not needed to ask; it is opened when it is.
    client = Client(provider.client_id, None)
    asked = None
    if not tools.providers.knows(provider.issuer):
        asked = oidc_guard.reserve(tools.patience, visit.source_address, visit.now)
    try:
        url = tools.providers.authorization_url(
            provider.issuer, client, redirect_uri, provider.scopes, challenge
        )
    except ProviderError as error:
        raise _unavailable(error) from error
    if asked is not None:
        asked.succeeded()
    until = visit.now + LIFE_MS
    begun = _Begun(organization, provider.issuer, provider.client_id, challenge, until)
    return Started(url, seal(tools.keyring, _PURPOSE, msgspec.json.encode(begun)))


def finish(tools: Tools, visit: Visit, returned: Returned, redirect_uri: str) -> Opened:
    """End a login with a session.

    Raises:
        Unauthenticated: this browser began no such login, it took too long, its answer was taken
            before, or the provider does not vouch for anybody.
        TooMany: too often, for the source or the stage; the answer is good for another attempt.
        Forbidden: who came has no role here.
        Unavailable: the provider does not answer as it should.
    """
    begun = _begun(tools.keyring, returned, visit.now)
    provider = identity_providers.find_in_use(begun.organization)
    if provider is None:
        raise oidc_configuration.unknown()
    if (provider.issuer, provider.client_id) != (begun.issuer, begun.client_id):
        raise oidc_guard.begin_anew("login_state_invalid", "the provider was changed meanwhile")
    asked = oidc_guard.reserve(tools.patience, visit.source_address, visit.now)
    try:
        claims = _claims(tools, visit.now, begun, provider, returned, redirect_uri)
    except TokenError as error:
        raise _failed(error.reason) from error
    except ProviderError as error:
        raise _unavailable(error) from error
    asked.succeeded()
    who = oidc_people.identity(provider, claims)
    return oidc_people.admit(tools.patience, tools.refusals, visit, begun.organization, who)


def _begun(keyring: Keyring, returned: Returned, now: int) -> _Begun:
    """What this browser began, if the answer is to that."""
    if returned.cookie is None or returned.state is None:
        raise oidc_guard.begin_anew("login_state_invalid", "no cookie or no state")
    try:
        begun = msgspec.json.decode(unseal(keyring, _PURPOSE, returned.cookie), type=_Begun)
    except (UnsealableError, msgspec.DecodeError) as error:
        raise oidc_guard.begin_anew("login_state_invalid", str(error)) from error
    if not hmac.compare_digest(begun.challenge.state.encode(), returned.state.encode()):
        raise oidc_guard.begin_anew("login_state_invalid", "another state")
    # Each organization has an address of its own at which its provider's answers arrive: a provider
    # that sends the browser on to another one gets no answer of that one (RFC 9700, section 4.4).
    if begun.organization != returned.organization:
        raise oidc_guard.begin_anew("login_state_invalid", "another organization's answer")
    if begun.expires_at <= now:
        raise oidc_guard.begin_anew("login_state_expired", "too late")
    return begun


def _claims(
    tools: Tools,
    now: int,
    begun: _Begun,
    provider: IdentityProvider,
    returned: Returned,
    redirect_uri: str,
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
    oidc_guard.take(tools.patience, begun.challenge.state, now, begun.expires_at)
    return tools.providers.claims(
        provider.issuer,
        Client(provider.client_id, secret),
        code=returned.code,
        redirect_uri=redirect_uri,
        challenge=begun.challenge,
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
