"""Quarantine of an agent by an operator, and its end."""

from typing import Annotated, Literal

import msgspec

from chalicelib import ids
from chalicelib.errors import Conflict, Malformed, NotFound
from chalicelib.evidence.agent_events import AgentQuarantined, AgentReleased
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import Detail
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import Note, matching
from chalicelib.flows import agent_status, presence_verdict
from chalicelib.flows.contention import Patience
from chalicelib.flows.heartbeat import MISSED_BEATS, told_interval
from chalicelib.store import (
    agent_identities,
    audit_records,
    enrollment_tokens,
    instances,
    presence_changes,
)
from chalicelib.store.agent_identities import REVOKED, AgentIdentityItem, agent_row
from chalicelib.store.agent_presence import (
    OFFLINE,
    ONLINE,
    QUARANTINED,
    AgentPresenceItem,
    due_key,
    presence_row,
)
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction

KEEP, SPLIT = "keep", "split"
Fingerprint = Annotated[
    str, matching(r"\A[0-9a-f]{16}\Z", "a fingerprint of 16 hexadecimal digits in lower case")
]


class QuarantineRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    note: Note | None = None


class ReleaseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of the agent: it stays one, or a copy gets an identity of its own.

    `instance` is the fingerprint of that copy; without it, the newer one.
    """

    decision: Literal["keep", "split"]
    instance: Fingerprint | None = None
    note: Note | None = None


class _Found(msgspec.Struct, frozen=True):
    identity: AgentIdentityItem
    presence: AgentPresenceItem


def quarantine(patience: Patience, origin: Origin, agent: str, note: str | None) -> None:
    """Stop an agent until an operator decides; its keys stay. Doing it twice changes nothing.

    Raises:
        NotFound: there is no such agent in the organization.
        Conflict: it was revoked.
    """
    for _ in patience.rounds():
        found = _find(origin, agent)
        if found.presence.status == QUARANTINED:
            return
        transaction = Transaction()
        presence_changes.quarantine(transaction, found.presence, presence_verdict.BY_OPERATOR)
        noted: dict[str, object] = {
            "reason": presence_verdict.BY_OPERATOR,
            "since": rfc3339(origin.now),
            "note": note,
            "copies": [],
            "was": _standing(found.presence, origin.now),
        }
        agent_identities.note_quarantine(transaction, origin.organization, agent, noted)
        detail = AgentQuarantined(agent_id=agent, reason=presence_verdict.BY_OPERATOR, note=note)
        if _write(transaction, origin, found, detail):
            return


def _standing(row: AgentPresenceItem, now: int) -> str:
    """What a release gives back: enrolled, online or offline."""
    status = agent_status.status_of(row, now)
    return ONLINE if status == agent_status.LATE else status


def release(
    patience: Patience, origin: Origin, agent: str, request: ReleaseRequest, bucket_seconds: int
) -> None:
    """End a quarantine as the operator decides.

    Args:
        patience: how contention is waited out.
        origin: who decides.
        agent: which agent.
        request: what is decided.
        bucket_seconds: the width of the overdue index's buckets.

    A release that was answered before, and whose answer was lost, changes nothing.

    Raises:
        NotFound: there is no such agent in the organization.
        Malformed: a copy is named, and none is to be split off.
        Conflict: it was revoked, is not quarantined, or there is no such copy of it.
    """
    if request.decision == KEEP and request.instance is not None:
        raise Malformed(
            "The request is not valid.",
            extra={"errors": [{"path": "instance", "message": "only with the decision split"}]},
        )
    for _ in patience.rounds():
        found = _find(origin, agent)
        if found.presence.status != QUARANTINED:
            if _decided_before(found.identity, origin, request):
                return
            raise Conflict("The agent is not quarantined.", code="not_quarantined")
        split = _copy(origin, found.identity, request)
        transaction = _release(origin, found, request, split, bucket_seconds)
        detail = AgentReleased(
            agent_id=agent, decision=request.decision, instance=split, note=request.note
        )
        if _write(transaction, origin, found, detail):
            return


def _release(
    origin: Origin, found: _Found, request: ReleaseRequest, split: str | None, bucket_seconds: int
) -> Transaction:
    transaction = Transaction()
    status = _until_its_next_beat(found, split)
    # Its time to be accepted again begins now, and the sweep tells if it does not come.
    overdue_at = origin.now + MISSED_BEATS * told_interval(found.presence)
    presence_changes.release(
        transaction,
        found.presence,
        status=status,
        split=bytes.fromhex(split) if split is not None else None,
        now=origin.now,
        due=(
            due_key(found.identity.agent_id, overdue_at, bucket_seconds)
            if status == ONLINE
            else None
        ),
    )
    # By this a repetition is recognised.
    agent_identities.note_quarantine(
        transaction,
        origin.organization,
        found.identity.agent_id,
        None,
        {"decision": request.decision, "instance": split, "by": origin.actor_id},
    )
    return transaction


def _until_its_next_beat(found: _Found, split: str | None) -> str:
    was = str((found.identity.quarantine or {}).get("was") or OFFLINE)
    present = found.presence.instance
    if was == ONLINE and (present is None or instances.fingerprint(str(present)).hex() == split):
        # The copy that is to go was accepted last; of the one that stays nothing is known.
        return OFFLINE
    return was


def _copy(origin: Origin, identity: AgentIdentityItem, request: ReleaseRequest) -> str | None:
    """The copy that is to get an identity of its own."""
    if request.decision == KEEP:
        return None
    copies = [copy["instance"] for copy in (identity.quarantine or {}).get("copies") or ()]
    if not copies:
        raise Conflict("No copies of the agent were noticed.", code="not_a_clone")
    if request.instance is not None and request.instance not in copies:
        raise Conflict("No such copy of the agent was noticed.", code="copy_unknown")
    token = enrollment_tokens.find(origin.organization, str(identity.token))
    if token is not None and token.status != enrollment_tokens.ACTIVE:
        raise Conflict(
            "The agent's enrollment token was revoked and admits no copy either. Keep the agent "
            "and enroll the copy with another token.",
            code="token_revoked",
        )
    # The one that returned had been heard before the present one was: that is the newer.
    return str(request.instance or copies[0])


def _decided_before(identity: AgentIdentityItem, origin: Origin, request: ReleaseRequest) -> bool:
    decided = identity.released or {}
    return (
        (decided.get("decision"), decided.get("by")) == (request.decision, origin.actor_id)
        and request.instance in (None, decided.get("instance"))
    )  # fmt: skip


def _find(origin: Origin, agent: str) -> _Found:
    identity, presence = (
        read_all([agent_row(origin.organization, agent), presence_row(origin.organization, agent)])
        if ids.is_a(ids.AGENT, agent)
        else (None, None)
    )
    if not isinstance(identity, AgentIdentityItem) or not isinstance(presence, AgentPresenceItem):
        raise NotFound("There is no such agent.", code="agent_not_found")
    if identity.status == REVOKED:
        raise Conflict("The agent was revoked.", code="agent_revoked")
    return _Found(identity, presence)


def _write(transaction: Transaction, origin: Origin, found: _Found, detail: Detail) -> bool:
    audit_records.put(
        transaction,
        success(
            origin,
            detail,
            resource=("agent", found.identity.agent_id),
            project=found.identity.project,
            environment=found.identity.environment,
        ),
    )
    cancelled = transaction.write()
    # The SDK repeats a request whose answer was lost: the record that stands in the way is ours.
    return cancelled is None or "audit" in cancelled.refused
