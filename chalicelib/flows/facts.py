"""Facts: an agent sends them when they changed; operators see them, and how they changed."""

from typing import Annotated, Any

import msgspec

from chalicelib import fields
from chalicelib.credentials.runtime_key import HEARTBEAT, RuntimeClaims
from chalicelib.errors import TooMany
from chalicelib.evidence.agent_events import AgentFactsChanged
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.fields import Hostname, Nonce, Sha256, ShortText
from chalicelib.flows import agent_access, facts_document, presence_verdict
from chalicelib.flows.contention import Patience
from chalicelib.store import agent_facts, audit_records, machines, presence_changes
from chalicelib.store.agent_facts import facts_row
from chalicelib.store.agent_identities import AgentIdentityItem, agent_row
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.machines import Resident
from chalicelib.store.organizations import OrganizationItem, environment_row
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction

SHORTEST_GAP_MS = 10_000
MOST_CHANGES = 100
LARGEST_CHANGES = 32 * 1024
_MOST_PATHS = 20
_LONGEST_PATH = 200
_IN_LISTS: dict[str, Any] = {"hostname": Hostname, "os": ShortText, "arch": ShortText}


class FactsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host says about itself, and the hash by which the agent knows it again.

    `instance` is needed where a copy of the agent is to take an identity of its own.
    """

    facts_sha256: Sha256
    facts: Annotated[dict[str, Any], msgspec.Meta(max_length=1_000)]
    instance: Nonce | None = None

    def __repr__(self) -> str:
        """Without what may be a hardware fingerprint."""
        return f"FactsRequest(facts_sha256={self.facts_sha256!r})"


class Facts(msgspec.Struct, frozen=True):
    """An agent's facts as operators see them."""

    facts: dict[str, Any] | None
    sha256: bytes | None
    received_at: int | None
    changes: list[dict[str, Any]]


class _Seen(msgspec.Struct, frozen=True):
    presence: AgentPresenceItem
    identity: AgentIdentityItem | None
    facts: AgentIdentityItem | None
    fingerprint_key: bytes | None


def receive(
    patience: Patience, origin: Origin, claims: RuntimeClaims, request: FactsRequest
) -> bool:
    """Keep the facts of a host; False where they are those that are known.

    Raises:
        TooLarge, Malformed: they are no facts; nothing was touched.
        DomainError: the key may not do this, in the order of a heartbeat's reasons.
        TooMany: others were taken less than ten seconds ago.
    """
    facts_document.check(request.facts)
    sha256 = bytes.fromhex(request.facts_sha256)
    joins = True
    for _ in patience.rounds():
        seen = _look(origin, claims, request.instance)
        known = seen.facts
        if known is not None and known.facts_sha256 == sha256:
            if known.facts_received_at == origin.now:
                return True  # Our own write, repeated by the SDK after a lost answer.
            if seen.presence.facts == sha256:
                return False
        elif known is not None:
            _raise_if_too_soon(known, origin.now)
        cancelled = _transaction(origin, claims, seen, request, joins=joins).write()
        if cancelled is None:
            return True
        # Where too many live on its machine, that is crowded, and noted on the identity alone.
        joins = joins and "machine" not in cancelled.refused
    raise AssertionError("unreachable: patience raises")


def _look(origin: Origin, claims: RuntimeClaims, instance: str | None) -> _Seen:
    presence = agent_access.authorize(claims, HEARTBEAT)
    presence_verdict.refuse_what_is_to_split(presence, instance)
    identity, facts, environment = read_all(
        [
            agent_row(origin.organization, claims.agent),
            facts_row(origin.organization, claims.agent),
            environment_row(origin.organization, str(presence.environment)),
        ]
    )
    return _Seen(
        presence,
        identity if isinstance(identity, AgentIdentityItem) else None,
        facts if isinstance(facts, AgentIdentityItem) else None,
        environment.fingerprint_key if isinstance(environment, OrganizationItem) else None,
    )


def _raise_if_too_soon(known: AgentIdentityItem, now: int) -> None:
    wait = int(known.facts_received_at) + SHORTEST_GAP_MS - now
    if wait > 0:
        raise TooMany("Facts come too fast.", code="facts_too_soon", seconds=wait / 1000)


def _transaction(
    origin: Origin, claims: RuntimeClaims, seen: _Seen, request: FactsRequest, *, joins: bool
) -> Transaction:
    sha256, key = bytes.fromhex(request.facts_sha256), seen.fingerprint_key
    stored = facts_document.kept(request.facts, key)
    machine = machines.fingerprint(key, facts_document.machine_id(request.facts))
    known = seen.facts
    fresh = (
        facts_document.differences(facts_document.masked_again(dict(known.facts or {})), stored)
        if known is not None
        else []
    )
    transaction = Transaction()
    agent_facts.put(
        transaction,
        origin.organization,
        claims.agent,
        before=known,
        facts=stored,
        sha256=sha256,
        changes=_bounded(fresh, known, origin.now),
        now=origin.now,
    )
    presence_changes.note_facts(transaction, seen.presence, sha256)
    if seen.identity is not None:
        _keep_identity_current(transaction, seen, seen.identity, stored, machine, joins=joins)
    audit_records.put(transaction, _evidence(origin, claims, seen, sha256, fresh))
    return transaction


def _keep_identity_current(
    transaction: Transaction,
    seen: _Seen,
    identity: AgentIdentityItem,
    stored: dict[str, Any],
    machine: bytes | None,
    *,
    joins: bool,
) -> None:
    """What lists show of a host, and its machine: a copy of an agent comes without one."""
    changed: dict[str, str | bytes] = {**_listed(identity, stored)}
    known, organization = identity.machine_fingerprint, seen.presence.organization
    if machine is not None and machine != known:
        changed["machine_fingerprint"] = machine
        resident = Resident.of(identity)
        if joins:
            machines.join(transaction, organization, machine, resident)
        else:
            machines.crowd(transaction, organization, machine)
        if known is not None:
            machines.leave(transaction, organization, bytes(known), {resident}, "left")
    if changed:
        agent_facts.keep_current(transaction, identity, changed)


def _bounded(
    fresh: list[dict[str, Any]], known: AgentIdentityItem | None, now: int
) -> list[dict[str, Any]]:
    """The changes that are kept: the newest first, as many as there is room for."""
    changes = [{"at": rfc3339(now), **change} for change in fresh]
    if known is not None:
        changes += facts_document.changes_masked_again(list(known.facts_changes or []))
    kept: list[dict[str, Any]] = []
    room = LARGEST_CHANGES
    for change in changes[:MOST_CHANGES]:
        room -= len(msgspec.json.encode(change)) + 1
        if room < 0:
            break
        kept.append(change)
    return kept


def _listed(identity: AgentIdentityItem, facts: dict[str, Any]) -> dict[str, str]:
    """What lists show of a host, where it is another than they show."""
    changed = {}
    for name, kind in _IN_LISTS.items():
        value = facts.get(name)
        if value is None or value == getattr(identity, name):
            continue
        try:
            changed[name] = fields.convert(value, kind)
        except msgspec.ValidationError:
            continue  # Good enough for a fact, and not for a list.
    return changed


def _evidence(
    origin: Origin,
    claims: RuntimeClaims,
    seen: _Seen,
    sha256: bytes,
    fresh: list[dict[str, Any]],
) -> Evidence:
    before = seen.facts.facts_sha256 if seen.facts is not None else None
    return success(
        origin,
        AgentFactsChanged(
            agent_id=claims.agent,
            facts_sha256=sha256.hex(),
            previous_facts_sha256=bytes(before).hex() if before is not None else None,
            changed=len(fresh),
            paths=tuple(change["path"][:_LONGEST_PATH] for change in fresh[:_MOST_PATHS]),
        ),
        resource=("agent", claims.agent),
        project=seen.presence.project,
        environment=seen.presence.environment,
    )


def get(organization: str, agent: str) -> Facts:
    """The facts of an agent that the authorization has found; of nothing where it sent none."""
    row = agent_facts.find(organization, agent)
    if row is None:
        return Facts(None, None, None, [])
    return Facts(
        facts_document.shown(dict(row.facts or {})),
        bytes(row.facts_sha256),
        int(row.facts_received_at),
        facts_document.changes_masked_again(list(row.facts_changes or [])),
    )
