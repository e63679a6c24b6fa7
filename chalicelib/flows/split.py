"""A split: a copy of an agent takes an identity of its own, as an operator decided."""

import hashlib

import msgspec

from chalicelib.credentials.runtime_key import HEARTBEAT, RuntimeClaims
from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Conflict, DomainError, Forbidden, Gone, Malformed, NotFound
from chalicelib.evidence.record import Origin
from chalicelib.fields import Nonce
from chalicelib.flows import agent_access, environment_control, new_copy, presence_verdict
from chalicelib.flows.contention import Patience
from chalicelib.flows.enrollment import Enrolled, IssuedKey
from chalicelib.flows.new_copy import Copy
from chalicelib.flows.replay import Repeated, renew
from chalicelib.store import enrollment_tokens, instances, organizations, splits
from chalicelib.store.agent_identities import AgentIdentityItem, agent_row
from chalicelib.store.agent_presence import AgentPresenceItem, presence_row
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem, token_row
from chalicelib.store.organizations import OrganizationItem, environment_row
from chalicelib.store.table import read_all


class SplitRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which copy asks: the instance that it beats with, or beat with when it began to ask."""

    instance: Nonce


class SplitTools(msgspec.Struct, frozen=True):
    """What the flow needs from outside."""

    keyring: Keyring
    patience: Patience


class _Rows(msgspec.Struct, frozen=True):
    identity: AgentIdentityItem | None
    presence: AgentPresenceItem | None
    environment: OrganizationItem | None
    receipt: EnrollmentTokenItem | None


class _Admission(msgspec.Struct, frozen=True):
    token: EnrollmentTokenItem | None
    interval: int


class _Claim(msgspec.Struct, frozen=True):
    """What a copy may take."""

    identity: AgentIdentityItem
    presence: AgentPresenceItem
    admission: _Admission


def split(
    tools: SplitTools,
    origin: Origin,
    claims: RuntimeClaims,
    request: SplitRequest,
    idempotency_key: str | None,
) -> Enrolled:
    """Give the copy an agent of its own, or the same one again under the same idempotency key.

    The new identity, its name, presence, receipt and the evidence are one transaction, conditional
    on the decision. A use of the enrollment token is neither needed nor spent.

    Raises:
        Malformed: no idempotency key: a lost answer would cost the copy its identity.
        DomainError: in the order of a heartbeat's reasons.
        Forbidden, Gone: the environment enrolls nobody, or the agent's token was revoked.
        Conflict: there is nothing to take: `not_split`.
    """
    if idempotency_key is None:
        agent_access.authorize(claims, HEARTBEAT)
        raise Malformed("Send an Idempotency-Key.", code="idempotency_key_required")
    split, secret = instances.fingerprint(request.instance), _hash(idempotency_key)
    copy = Copy.create(tools.keyring, origin, claims.environment, split, secret)
    taken = 0
    for _ in tools.patience.rounds():
        rows = _look_up(origin, claims, split)
        if rows.receipt is not None and _asked(rows.receipt) == (secret, claims.digest):
            return _again(tools, origin, rows.receipt, rows.environment)
        claim = _claim(origin, claims, request, rows)
        name = new_copy.name_to_try(str(claim.identity.name), taken)
        cancelled = copy.transaction(
            origin, claims, claim.presence, claim.identity, claim.admission.token, name
        ).write()
        if cancelled is None or copy.wrote_it_before(cancelled):
            identity = copy.identity(origin, claim.identity, name)
            return _enrolled(origin, identity, copy.key, claim.admission, replayed=False)
        taken += "name" in cancelled.refused
    raise AssertionError("unreachable: patience raises")


def _hash(idempotency_key: str) -> bytes:
    return hashlib.sha256(idempotency_key.encode()).digest()


def _asked(receipt: EnrollmentTokenItem) -> tuple[bytes, bytes]:
    """By what a repetition is known: the secret, and the key that the copy has."""
    return bytes(receipt.digest or b""), bytes(receipt.shown_key or b"")


def _look_up(origin: Origin, claims: RuntimeClaims, split: bytes) -> _Rows:
    """What the split depends on, in one strongly consistent request."""
    organization = origin.organization
    identity, presence, environment, receipt = read_all(
        [
            agent_row(organization, claims.agent),
            presence_row(organization, claims.agent),
            environment_row(organization, claims.environment),
            splits.receipt_row(organization, claims.agent, split),
        ]
    )
    return _Rows(
        identity if isinstance(identity, AgentIdentityItem) else None,
        presence if isinstance(presence, AgentPresenceItem) else None,
        environment if isinstance(environment, OrganizationItem) else None,
        receipt if isinstance(receipt, EnrollmentTokenItem) else None,
    )


def _claim(origin: Origin, claims: RuntimeClaims, request: SplitRequest, rows: _Rows) -> _Claim:
    """What is there for the copy to take.

    Raises:
        DomainError: nothing, or the key may not act, or the environment enrolls nobody.
    """
    presence, identity = rows.presence, rows.identity
    reason = presence_verdict.refusal(presence, claims.digest, HEARTBEAT, copy=request.instance)
    if reason is not None or presence is None:
        raise reason or AssertionError("a missing row has a reason")
    if identity is None:
        raise NotFound("This agent does not exist.", code="agent_not_found")
    admission = _admission(origin, rows.environment, str(identity.token))
    if rows.receipt is not None or not instances.is_to_split(presence, request.instance):
        raise _not_split()
    return _Claim(identity, presence, admission)


def _admission(origin: Origin, environment: OrganizationItem | None, named: str) -> _Admission:
    """Whether the environment and the token, if it is still there, admit a copy.

    Raises:
        Forbidden, Gone: they do not.
    """
    if environment is None or environment.status != organizations.ACTIVE:
        raise _closed()
    (token,) = read_all([token_row(origin.organization, named)])
    found = token if isinstance(token, EnrollmentTokenItem) else None
    if found is not None and found.status != enrollment_tokens.ACTIVE:
        raise Gone("The agent's enrollment token was revoked.", code="token_revoked")
    return _Admission(found, environment_control.of_row(environment, 0).interval)


def _again(
    tools: SplitTools,
    origin: Origin,
    receipt: EnrollmentTokenItem,
    environment: OrganizationItem | None,
) -> Enrolled:
    """The same agent with a fresh key, whatever became of the one that it was a copy of.

    Raises:
        Forbidden, Gone: the environment enrolls nobody, the token was revoked, it is quarantined.
        Conflict: it was heard or has ended, or a day has passed.
    """
    admission = _admission(origin, environment, str(receipt.token))
    asked = Repeated(receipt, _not_split(), token_lives=admission.token is not None)
    identity, key = renew(tools.keyring, tools.patience, origin, asked)
    return _enrolled(origin, identity, key, admission, replayed=True)


def _enrolled(
    origin: Origin,
    identity: AgentIdentityItem,
    key: IssuedKey,
    admission: _Admission,
    *,
    replayed: bool,
) -> Enrolled:
    return Enrolled(
        organization=origin.organization,
        identity=identity,
        key=key,
        heartbeat_interval=admission.interval,
        csr=None,
        replayed=replayed,
    )


def _closed() -> DomainError:
    return Forbidden("The environment does not enroll agents now.", code="environment_closed")


def _not_split() -> Conflict:
    return Conflict("There is no identity for this copy to take.", code="not_split")
