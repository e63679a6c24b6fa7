"""The replay: a host whose answer was lost asks again and gets the same agent (law 1)."""

import msgspec

from chalicelib.credentials.signing import Keyring
from chalicelib.errors import Conflict, DomainError, Gone
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import EnrollmentReplayed
from chalicelib.evidence.record import Origin, success
from chalicelib.flows import admission, presence_verdict
from chalicelib.flows.contention import Patience
from chalicelib.flows.csr import CsrFacts
from chalicelib.flows.enrollment import (
    Enrolled,
    EnrollTools,
    ExchangeRequest,
    IssuedKey,
    issue_key,
)
from chalicelib.store import (
    agent_device_certificates,
    agent_identities,
    audit_records,
    enrollment_tokens,
    presence_writes,
    token_counters,
)
from chalicelib.store.agent_identities import AgentIdentityItem
from chalicelib.store.agent_presence import ENROLLED, QUARANTINED, AgentPresenceItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.transaction import Cancelled, Transaction

WINDOW_MS = 24 * 3_600_000


class Replayable(msgspec.Struct, frozen=True):
    """What a replay starts from: the token, and the receipt of the use."""

    token: EnrollmentTokenItem
    receipt: EnrollmentTokenItem
    heartbeat_interval: int


class Repeated(msgspec.Struct, frozen=True):
    """A request whose answer was lost: its receipt, and how it is refused from some time on.

    Args:
        receipt: of the first time.
        closed: what is raised where the agent was heard, has ended, or a day has passed.
        token_lives: False where its time has removed the token, which then revokes nothing.
    """

    receipt: EnrollmentTokenItem
    closed: DomainError
    token_lives: bool = True


def replay(
    tools: EnrollTools,
    origin: Origin,
    found: Replayable,
    request: ExchangeRequest,
) -> Enrolled:
    """Give the receipt's agent a fresh runtime key in place of the one that was never used.

    Served also when the token is spent or expired by now. Costs the first heartbeat nothing:
    the change is conditional on presence still `enrolled` with the old key. What the host says of
    itself this time changes nothing, a CSR included: the answer is that of the first time.

    Raises:
        Gone: the token was revoked.
        Conflict: the agent has beaten, was revoked, or a day has passed.
        Forbidden: a host that the token was not minted for; or the agent is quarantined.
    """
    refused = admission.revoked(found.token) or admission.wrong_host(
        found.token, hostname=request.hostname, source_address=origin.source_address
    )
    if refused is not None:
        raise refused
    asked = Repeated(found.receipt, _closed())
    identity, key = renew(tools.keyring, tools.patience, origin, asked)
    return Enrolled(
        organization=origin.organization,
        identity=identity,
        key=key,
        heartbeat_interval=found.heartbeat_interval,
        csr=_certificate(origin.organization, identity),
        replayed=True,
    )


def _certificate(organization: str, identity: AgentIdentityItem) -> CsrFacts | None:
    if identity.certificate is None:
        return None
    row = agent_device_certificates.find(organization, identity.agent_id, identity.certificate)
    return CsrFacts(row.csr_sha256, row.public_key_sha256, row.key_type) if row else None


def renew(
    keyring: Keyring, patience: Patience, origin: Origin, asked: Repeated
) -> tuple[AgentIdentityItem, IssuedKey]:
    """A fresh key for the agent of a receipt that nobody has heard yet; a split's, too.

    Raises:
        Gone: the token was revoked.
        DomainError: the window is closed, or the agent is quarantined.
    """
    receipt = asked.receipt
    if origin.now - int(receipt.created_at) > WINDOW_MS:
        raise asked.closed
    identity = agent_identities.find(origin.organization, str(receipt.agent))
    if identity is None:
        raise asked.closed
    key = issue_key(
        keyring,
        origin,
        environment=str(identity.environment),
        agent=identity.agent_id,
        collector=str(identity.collector),
        asset=str(identity.asset),
    )
    for _ in patience.rounds():
        cancelled = _transaction(origin, asked, identity, key).write()
        if cancelled is None or _wrote_it_before(cancelled, key):
            return identity, key
        asked = _after_a_refusal(asked, cancelled)
    raise AssertionError("unreachable: patience raises")


def _wrote_it_before(cancelled: Cancelled, key: IssuedKey) -> bool:
    """Whether the SDK repeated a request whose answer was lost: the receipt has our key."""
    receipt = EnrollmentTokenItem.from_item(cancelled.item("receipt"))
    return receipt is not None and receipt.key_digest == key.digest


def _after_a_refusal(asked: Repeated, cancelled: Cancelled) -> Repeated:
    """What to try next: the receipt as it is now.

    Raises:
        DomainError: there is nothing to try.
    """
    if "token" in cancelled.refused:
        raise Gone("The enrollment token was revoked.", code="token_revoked")
    presence = AgentPresenceItem.from_item(cancelled.item("presence"))
    if presence is None:
        return asked
    if presence.status == QUARANTINED and presence.last_seen is None:
        raise presence_verdict.quarantined(presence.quarantine_reason)
    if presence.status != ENROLLED:
        raise asked.closed
    # Another replay of the same host came first; its key was not used either. While its
    # transaction is being applied, presence may show it and the receipt be locked still.
    receipt = EnrollmentTokenItem.from_item(cancelled.item("receipt"))
    receipt = receipt or enrollment_tokens.find_receipt(asked.receipt)
    if receipt is None:
        raise asked.closed
    return msgspec.structs.replace(asked, receipt=receipt)


def _transaction(
    origin: Origin, asked: Repeated, identity: AgentIdentityItem, key: IssuedKey
) -> Transaction:
    transaction = Transaction()
    if asked.token_lives:
        token_counters.check_not_revoked(transaction, origin.organization, asked.receipt)
    presence_writes.replace_unused_key(
        transaction,
        origin.organization,
        identity.agent_id,
        old=bytes(asked.receipt.key_digest or b""),
        new=key.digest,
    )
    enrollment_tokens.renew_receipt(transaction, asked.receipt, key_digest=key.digest)
    audit_records.put(
        transaction,
        success(
            origin,
            EnrollmentReplayed(
                agent_id=identity.agent_id,
                token_id=asked.receipt.token,
                runtime_key_sha256=key.digest.hex(),
                runtime_key_expires_at=rfc3339(key.expires_at),
            ),
            resource=("agent", identity.agent_id),
            project=identity.project,
            environment=identity.environment,
        ),
    )
    return transaction


def _closed() -> Conflict:
    return Conflict(
        "This exchange was answered before, and the agent has been heard since, was revoked, or "
        "a day has passed. Mint a new token if the runtime key is lost.",
        code="replay_window_closed",
    )
