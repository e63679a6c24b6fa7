"""The identity that an exchange creates, and the one transaction that creates it."""

import hashlib
import secrets
from collections.abc import Iterator
from typing import Self

import msgspec

from chalicelib import ids
from chalicelib.credentials import runtime_key
from chalicelib.credentials.signing import Keyring
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import AgentEnrolled
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.flows import replacement
from chalicelib.flows.csr import CsrFacts
from chalicelib.flows.enrollment import ExchangeRequest, IssuedKey, issue_key
from chalicelib.flows.replacement import Place
from chalicelib.store import (
    agent_device_certificates,
    agent_identities,
    audit_records,
    enrollment_tokens,
    machines,
    presence_writes,
    token_counters,
)
from chalicelib.store.agent_identities import AgentIdentityItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.transaction import Transaction

_NAME_TRIES = 6
_LONGEST_STEM = 56
_DIGEST = 8


def attempt_names(request: ExchangeRequest) -> Iterator[str]:
    """The names to try in turn: the given one alone, or the hostname and variants of it."""
    if request.name is not None:
        yield request.name
        return
    stem = _stem(request.hostname or "")
    yield stem
    for _ in range(_NAME_TRIES):
        yield f"{stem}-{ids.base32(secrets.token_bytes(5))[:6]}"


def _stem(hostname: str) -> str:
    """What a hostname is as a name; a longer one ends in a digest, by which it is told apart."""
    stem = hostname.replace("_", "-").strip(".-") or "agent"
    if len(stem) <= _LONGEST_STEM:
        return stem
    digest = hashlib.sha256(hostname.lower().encode()).hexdigest()[:_DIGEST]
    return f"{stem[: _LONGEST_STEM - _DIGEST - 1].strip('._-')}-{digest}"


class Candidate(msgspec.Struct, frozen=True):
    """An agent that is not there yet. Its identifiers stay the same over all attempts."""

    token: EnrollmentTokenItem
    request: ExchangeRequest
    agent: str
    collector: str
    asset: str
    certificate: str
    key: IssuedKey
    machine_fingerprint: bytes | None

    @classmethod
    def create(
        cls,
        keyring: Keyring,
        origin: Origin,
        token: EnrollmentTokenItem,
        fingerprint_key: bytes | None,
        request: ExchangeRequest,
    ) -> Self:
        """Choose identifiers and sign the runtime key."""
        agent, collector, asset, certificate = (
            ids.new(kind) for kind in (ids.AGENT, ids.COLLECTOR, ids.ASSET, ids.CERTIFICATE)
        )
        return cls(
            token=token,
            request=request,
            agent=agent,
            collector=collector,
            asset=asset,
            certificate=certificate,
            key=issue_key(
                keyring,
                origin,
                environment=str(token.environment),
                agent=agent,
                collector=collector,
                asset=asset,
            ),
            machine_fingerprint=machines.fingerprint(fingerprint_key, request.machine_id),
        )

    def identity(self, origin: Origin, *, name: str, csr: CsrFacts | None) -> AgentIdentityItem:
        """The identity as the answer shows it."""
        return AgentIdentityItem(
            agent_id=self.agent,
            name=name,
            project=self.token.project,
            environment=self.token.environment,
            labels=self._labels(),
            collector=self.collector,
            asset=self.asset,
            certificate=self.certificate if csr else None,
            created_at=origin.now,
        )

    def transaction(
        self,
        origin: Origin,
        counter: EnrollmentTokenItem,
        place: Place,
        *,
        token_digest: bytes,
        name: str,
        csr: CsrFacts | None,
        idempotency: bytes | None,
    ) -> Transaction:
        """One use, the identity, its name, place, presence, certificate, receipt and evidence."""
        transaction = Transaction()
        token_counters.redeem(
            transaction, origin.organization, counter, digest=token_digest, now=origin.now
        )
        self._add_agent(transaction, origin, place, name, csr)
        replacement.succeed(transaction, origin, place, self.agent, name, self.token)
        if csr is not None:
            self._add_certificate(transaction, origin, csr)
        if idempotency is not None:
            enrollment_tokens.put_receipt(
                transaction,
                origin.organization,
                self.token,
                idempotency,
                counter=counter,
                agent=self.agent,
                key_digest=self.key.digest,
                now=origin.now,
            )
        audit_records.put(transaction, self._evidence(origin, place, name, csr))
        return transaction

    def _add_agent(
        self,
        transaction: Transaction,
        origin: Origin,
        place: Place,
        name: str,
        csr: CsrFacts | None,
    ) -> None:
        agent_identities.create(
            transaction,
            origin.organization,
            self.agent,
            environment=str(self.token.environment),
            name=name,
            token=self.token.token,
            created_at=origin.now,
            former=place.former_agent,
            project=self.token.project,
            labels=self._labels(),
            hostname=self.request.hostname,
            os=self.request.os,
            arch=self.request.arch,
            agent_version=self.request.agent_version,
            collector=self.collector,
            asset=self.asset,
            machine_fingerprint=self.machine_fingerprint,
            certificate=self.certificate if csr else None,
        )
        presence_writes.create(
            transaction,
            origin.organization,
            self.agent,
            project=str(self.token.project),
            environment=str(self.token.environment),
            key=self.key.digest,
            scopes=set(runtime_key.SCOPES),
        )

    def _add_certificate(self, transaction: Transaction, origin: Origin, csr: CsrFacts) -> None:
        agent_device_certificates.put(
            transaction,
            origin.organization,
            self.agent,
            self.certificate,
            csr_sha256=csr.csr_sha256,
            public_key_sha256=csr.public_key_sha256,
            key_type=csr.key_type,
            now=origin.now,
        )

    def _labels(self) -> dict[str, str]:
        # What the operator wrote on the token wins over what a host says of itself.
        return {**self.request.labels, **(self.token.labels or {})}

    def _evidence(self, origin: Origin, place: Place, name: str, csr: CsrFacts | None) -> Evidence:
        return success(
            origin,
            AgentEnrolled(
                agent_id=self.agent,
                name=name,
                token_id=self.token.token,
                hostname=self.request.hostname,
                collector_id=self.collector,
                asset_id=self.asset,
                runtime_key_sha256=self.key.digest.hex(),
                runtime_key_expires_at=rfc3339(self.key.expires_at),
                certificate_id=self.certificate if csr else None,
                csr_sha256=csr.csr_sha256 if csr else None,
                former_agent_id=place.former_agent,
            ),
            resource=("agent", self.agent),
            project=self.token.project,
            environment=self.token.environment,
        )
