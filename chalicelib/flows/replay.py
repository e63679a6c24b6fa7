"""The replay: a host whose answer was lost asks again and gets the same agent (law 1)."""

import msgspec

from chalicelib.errors import Conflict, Gone
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import EnrollmentReplayed
from chalicelib.evidence.record import Origin, success
from chalicelib.flows import admission
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
from chalicelib.store.agent_presence import ENROLLED, AgentPresenceItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.transaction import Transaction

WINDOW_MS = 24 * 3_600_000


class Replayable(msgspec.Struct, frozen=True):
    """What a replay starts from: the token, and the receipt of the use."""

    token: EnrollmentTokenItem
    receipt: EnrollmentTokenItem
    heartbeat_interval: int


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
        Forbidden: a host that the token was not minted for.
    """
    refused = admission.revoked(found.token) or admission.wrong_host(
        found.token, hostname=request.hostname, source_address=origin.source_address
    )
    if refused is not None:
        raise refused
    if origin.now - int(found.receipt.created_at) > WINDOW_MS:
        raise _closed()
    agent = str(found.receipt.agent)
    identity = agent_identities.find(origin.organization, agent)
    if identity is None:
        raise _closed()
    key = issue_key(
        tools.keyring,
        origin,
        environment=str(identity.environment),
        agent=agent,
        collector=str(identity.collector),
        asset=str(identity.asset),
    )
    _write(tools, origin, found, identity, key)
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


def _write(
    tools: EnrollTools,
    origin: Origin,
    found: Replayable,
    identity: AgentIdentityItem,
    key: IssuedKey,
) -> None:
    for _ in tools.patience.rounds():
        cancelled = _transaction(origin, found, identity, key).write()
        if cancelled is None:
            return
        if "token" in cancelled.refused:
            raise Gone("The enrollment token was revoked.", code="token_revoked")
        receipt = EnrollmentTokenItem.from_item(cancelled.item("receipt"))
        if receipt is not None and receipt.key_digest == key.digest:
            return  # Our own write, repeated by the SDK after a lost answer.
        presence = AgentPresenceItem.from_item(cancelled.item("presence"))
        if presence is not None:
            if presence.status != ENROLLED:
                raise _closed()
            # Another replay of the same host came first; its key was not used either. While its
            # transaction is being applied, presence may show it and the receipt be locked still.
            receipt = receipt or enrollment_tokens.find_receipt(found.receipt)
            if receipt is None:
                raise _closed()
            found = msgspec.structs.replace(found, receipt=receipt)
    raise AssertionError("unreachable: patience raises")


def _transaction(
    origin: Origin, found: Replayable, identity: AgentIdentityItem, key: IssuedKey
) -> Transaction:
    transaction = Transaction()
    token_counters.check_not_revoked(transaction, origin.organization, found.receipt)
    presence_writes.replace_unused_key(
        transaction,
        origin.organization,
        identity.agent_id,
        old=bytes(found.receipt.key_digest or b""),
        new=key.digest,
    )
    enrollment_tokens.renew_receipt(transaction, found.receipt, key_digest=key.digest)
    audit_records.put(
        transaction,
        success(
            origin,
            EnrollmentReplayed(
                agent_id=identity.agent_id,
                token_id=found.token.token,
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
