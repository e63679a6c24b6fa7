"""A split: a copy of an agent takes an identity of its own, as an operator decided."""

import hashlib
from collections.abc import Iterator

import msgspec

from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Conflict, DomainError, Forbidden, Gone, Malformed, NotFound
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import EnrollmentReplayed
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import Nonce
from chalicelib.flows import agent_access, environment_control, new_copy, presence_verdict
from chalicelib.flows.contention import Patience
from chalicelib.flows.enrollment import Enrolled, IssuedKey, issue_key
from chalicelib.flows.new_copy import Copy
from chalicelib.store import (
    agent_identities,
    audit_records,
    enrollment_tokens,
    instances,
    organizations,
    presence_writes,
    splits,
)
from chalicelib.store.agent_identities import AgentIdentityItem, agent_row
from chalicelib.store.agent_presence import ENROLLED, AgentPresenceItem, presence_row
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem, token_row
from chalicelib.store.organizations import OrganizationItem, environment_row
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction

SCOPE = "agent:heartbeat"


class SplitRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which copy asks: the instance that it beats with, or beat with when it began to ask."""

    instance: Nonce


class SplitTools(msgspec.Struct, frozen=True):
    """What the flow needs from outside."""

    keyring: Keyring
    patience: Patience


class _Found(msgspec.Struct, frozen=True):
    identity: AgentIdentityItem
    presence: AgentPresenceItem
    environment: OrganizationItem
    receipt: EnrollmentTokenItem | None
    token: EnrollmentTokenItem | None

    @property
    def interval(self) -> int:
        return environment_control.of_row(self.environment, 0).interval


def split(
    tools: SplitTools,
    origin: Origin,
    claims: RuntimeClaims,
    request: SplitRequest,
    idempotency_key: str | None,
) -> Enrolled:
    """Give the copy an agent of its own, or the same one again under the same idempotency key.

    The new identity, its name, presence, receipt and the evidence are one transaction, conditional
    on the decision. Asked again, the same agent comes back with a fresh key until its first
    heartbeat, as with an exchange. A use of the enrollment token is neither needed nor spent.

    Raises:
        Malformed: no idempotency key: a lost answer would cost the copy its identity.
        DomainError: in the order of a heartbeat's reasons.
        Forbidden, Gone: the environment enrolls nobody, or the agent's token was revoked.
        Conflict: there is nothing to take: `not_split`.
    """
    if idempotency_key is None:
        agent_access.authorize(claims, SCOPE)
        raise Malformed("Send an Idempotency-Key.", code="idempotency_key_required")
    copy = Copy.create(
        tools.keyring,
        origin,
        claims.environment,
        instances.fingerprint(request.instance),
        hashlib.sha256(idempotency_key.encode()).digest(),
    )
    names: Iterator[str] = iter(())
    name: str | None = None
    for _ in tools.patience.rounds():
        found = _look_up(origin, claims, copy)
        if found.receipt is not None:
            again = _again(tools, origin, copy, found, found.receipt)
            if again is not None:
                return again
            continue
        if found.presence.split is None or bytes(found.presence.split) != copy.split:
            raise _not_split()
        if name is None:
            names = new_copy.attempt_names(str(found.identity.name))
            name = next(names)
        cancelled = copy.transaction(origin, claims, found.identity, found.token, name).write()
        if cancelled is None or copy.wrote_it_before(cancelled):
            identity = copy.identity(origin, found.identity, name)
            return _enrolled(origin, identity, copy.key, found, replayed=False)
        if "name" in cancelled.refused:
            name = next(names)
    raise AssertionError("unreachable: patience raises")


def _look_up(origin: Origin, claims: RuntimeClaims, copy: Copy) -> _Found:
    """What the split depends on, in two strongly consistent requests.

    Raises:
        DomainError: the key may not act, or the environment enrolls nobody.
    """
    organization = origin.organization
    identity, presence, environment, receipt = read_all(
        [
            agent_row(organization, claims.agent),
            presence_row(organization, claims.agent),
            environment_row(organization, claims.environment),
            splits.receipt_row(organization, claims.agent, copy.split),
        ]
    )
    seen = presence if isinstance(presence, AgentPresenceItem) else None
    reason = presence_verdict.refusal(seen, claims.digest, SCOPE)
    if reason is not None or seen is None:
        raise reason or AssertionError("a missing row has a reason")
    if not isinstance(identity, AgentIdentityItem):
        raise NotFound("This agent does not exist.", code="agent_not_found")
    if not isinstance(environment, OrganizationItem) or environment.status != organizations.ACTIVE:
        raise _closed()
    (token,) = read_all([token_row(organization, str(identity.token))])
    found = token if isinstance(token, EnrollmentTokenItem) else None
    if found is not None and found.status != enrollment_tokens.ACTIVE:
        raise Gone("The agent's enrollment token was revoked.", code="token_revoked")
    known = receipt if isinstance(receipt, EnrollmentTokenItem) else None
    return _Found(identity, seen, environment, known, found)


def _again(
    tools: SplitTools, origin: Origin, copy: Copy, found: _Found, receipt: EnrollmentTokenItem
) -> Enrolled | None:
    """The same agent with a fresh key; None where another repetition came first.

    Raises:
        Conflict: another copy has it, or the agent was heard.
    """
    agent = str(receipt.agent)
    identity = agent_identities.find(origin.organization, agent)
    if bytes(receipt.digest or b"") != copy.idempotency or identity is None:
        raise _not_split()
    key = issue_key(
        tools.keyring,
        origin,
        environment=str(identity.environment),
        agent=agent,
        collector=str(identity.collector),
        asset=str(identity.asset),
    )
    transaction = Transaction()
    presence_writes.replace_unused_key(
        transaction,
        origin.organization,
        agent,
        old=bytes(receipt.key_digest or b""),
        new=key.digest,
    )
    enrollment_tokens.renew_receipt(transaction, receipt, key_digest=key.digest)
    replayed = EnrollmentReplayed(
        agent_id=agent,
        token_id=receipt.token,
        runtime_key_sha256=key.digest.hex(),
        runtime_key_expires_at=rfc3339(key.expires_at),
    )
    audit_records.put(
        transaction,
        success(
            origin,
            replayed,
            resource=("agent", agent),
            project=identity.project,
            environment=identity.environment,
        ),
    )
    cancelled = transaction.write()
    if cancelled is None or "audit" in cancelled.refused:
        return _enrolled(origin, identity, key, found, replayed=True)
    presence = AgentPresenceItem.from_item(cancelled.item("presence"))
    if presence is not None and presence.status != ENROLLED:
        raise _not_split()
    return None


def _enrolled(
    origin: Origin, identity: AgentIdentityItem, key: IssuedKey, found: _Found, *, replayed: bool
) -> Enrolled:
    return Enrolled(
        organization=origin.organization,
        identity=identity,
        key=key,
        heartbeat_interval=found.interval,
        csr=None,
        replayed=replayed,
    )


def _closed() -> DomainError:
    return Forbidden("The environment does not enroll agents now.", code="environment_closed")


def _not_split() -> Conflict:
    return Conflict("There is no identity for this copy to take.", code="not_split")
