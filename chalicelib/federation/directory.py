"""What a worker remembers of providers, for a few minutes: their metadata and their keys."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chalicelib.federation import id_token, provider
from chalicelib.federation.failures import ProviderError, TokenError
from chalicelib.federation.fetch import Fetcher, Place, place
from chalicelib.federation.id_token import Expected
from chalicelib.federation.provider import Challenge, Client, Metadata

KEPT_MS = 300_000
REFETCH_EVERY_MS = 60_000
FAILED_MS = 10_000
"""How long a provider that did not answer is not asked again: each attempt can take seconds."""
_OK = 200
_MOST_PROVIDERS = 200
Result = TypeVar("Result")


@dataclass
class _Known:
    metadata: Metadata
    at: int
    keys: list[dict[str, Any]] = field(default_factory=list)
    keys_at: int | None = None


class Directory:
    """Asks providers and remembers what they said.

    Args:
        fetcher: how they are reached.
        clock: milliseconds since the epoch.
    """

    def __init__(self, fetcher: Fetcher, clock: Callable[[], int]) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._failed: dict[str, tuple[int, str]] = {}

    def authorization_url(
        self,
        issuer: str,
        client: Client,
        redirect_uri: str,
        scopes: list[str],
        challenge: Challenge,
    ) -> str:
        """Where the browser is sent.

        Raises:
            ProviderError: the provider's metadata cannot be had.
        """
        metadata = self._asked(issuer).metadata
        return provider.authorization_url(metadata, client, redirect_uri, scopes, challenge)

    def names_itself(self, issuer: str) -> bool:
        """Whether the provider puts its name into every answer (RFC 9207).

        Raises:
            ProviderError: the provider's metadata cannot be had.
        """
        return self._asked(issuer).metadata.authorization_response_iss_parameter_supported

    def claims(
        self,
        issuer: str,
        client: Client,
        *,
        code: str,
        redirect_uri: str,
        challenge: Challenge,
    ) -> dict[str, Any]:
        """Trade a code for the verified claims of its ID token.

        Raises:
            TokenError: the provider refused the code, or its token proves nothing.
            ProviderError: it did not answer, or not as the standard says.
        """
        known = self._asked(issuer)
        self._check_failed(issuer)
        # What fails here is not held against the provider: an issuer serves many organizations,
        # and client and code are of one of them, or anybody's invention.
        raw = provider.exchange_code(
            self._fetcher,
            known.metadata,
            client,
            code=code,
            redirect_uri=redirect_uri,
            verifier=challenge.verifier,
        )
        said = id_token.header(raw)
        expected = Expected(issuer, client.client_id, challenge.nonce, self._clock())
        refused: TokenError | None = None
        for key in self._keys_for(known, said):
            try:
                return id_token.verified(raw, key, said, expected)
            except TokenError as error:
                refused = error
        raise refused or TokenError("key_unknown")

    def knows(self, issuer: str) -> bool:
        """Whether a browser can be sent there without asking the provider."""
        return self._fresh(issuer) is not None

    def _fresh(self, issuer: str) -> _Known | None:
        known = self._known.get(issuer)
        return known if known and 0 <= self._clock() - known.at < KEPT_MS else None

    def _asked(self, issuer: str) -> _Known:
        known = self._fresh(issuer)
        if known is None:
            metadata = self._guarded(issuer, lambda: provider.discover(self._fetcher, issuer))
            if len(self._known) >= _MOST_PROVIDERS:
                self._known.clear()
            known = self._known[issuer] = _Known(metadata, self._clock())
        return known

    def _keys_for(self, known: _Known, said: id_token.Header) -> list[dict[str, Any]]:
        """The keys that may have made a signature; an unknown one has the set fetched again.

        At most once a minute: a key id is the caller's to invent.
        """
        age = None if known.keys_at is None else self._clock() - known.keys_at
        if age is None or not 0 <= age < KEPT_MS:
            self._fetch_keys(known)
            return id_token.candidates(known.keys, said)
        found = id_token.candidates(known.keys, said)
        if not found and age >= REFETCH_EVERY_MS:
            self._fetch_keys(known)
            found = id_token.candidates(known.keys, said)
        return found

    def _fetch_keys(self, known: _Known) -> None:
        issuer = known.metadata.issuer
        port = provider.issuer_place(issuer).port
        where = place(known.metadata.jwks_uri, port=port)
        known.keys = self._guarded(issuer, lambda: self._keys_at(where))
        known.keys_at = self._clock()

    def _keys_at(self, where: Place) -> list[dict[str, Any]]:
        answer = self._fetcher.get(where)
        if answer.status != _OK:
            raise ProviderError("keys_unreadable", f"status {answer.status}")
        return id_token.keys_of(answer.body)

    def _check_failed(self, issuer: str) -> None:
        at, reason = self._failed.get(issuer, (0, ""))
        if 0 <= self._clock() - at < FAILED_MS:
            raise ProviderError(reason, "it failed a moment ago and is not asked again yet")

    def _guarded(self, issuer: str, ask: Callable[[], Result]) -> Result:
        """Ask for metadata or keys, unless that failed a moment ago."""
        self._check_failed(issuer)
        try:
            return ask()
        except ProviderError as error:
            if len(self._failed) >= _MOST_PROVIDERS:
                self._failed.clear()
            self._failed[issuer] = (self._clock(), error.reason)
            raise
