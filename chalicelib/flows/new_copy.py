"""The agent that a copy of an agent becomes, and the one transaction that creates it."""

import secrets
from typing import Self

import msgspec

from chalicelib import ids
from chalicelib.credentials import runtime_key
from chalicelib.credentials.runtime_key import RuntimeClaims
from chalicelib.credentials.signing import Keyring
from chalicelib.evidence.agent_events import AgentSplit
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.events import AgentEnrolled
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import LONGEST_NAME
from chalicelib.flows.enrollment import IssuedKey, issue_key
from chalicelib.store import (
    agent_identities,
    audit_records,
    organizations,
    presence_changes,
    presence_writes,
    splits,
)
from chalicelib.store.agent_identities import AgentIdentityItem
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.organizations import environment_row
from chalicelib.store.transaction import Cancelled, Transaction

_LONGEST_STEM = LONGEST_NAME - 7
_NUMBERED = range(2, 5)


def name_to_try(name: str, taken: int) -> str:
    """The name of the agent with a number; where so many were taken, with something random."""
    stem = name[:_LONGEST_STEM]
    if taken < len(_NUMBERED):
        return f"{stem}-{_NUMBERED[taken]}"
    return f"{stem}-{ids.base32(secrets.token_bytes(5))[:6]}"


class Copy(msgspec.Struct, frozen=True):
    """An agent that is not there yet. Its identifiers stay the same over all attempts.

    Args:
        split: fingerprint of the copy's instance.
        idempotency: hash of the secret by which the copy asks again.
    """

    split: bytes
    idempotency: bytes
    agent: str
    collector: str
    asset: str
    key: IssuedKey

    @classmethod
    def create(
        cls, keyring: Keyring, origin: Origin, environment: str, split: bytes, idempotency: bytes
    ) -> Self:
        """Choose identifiers and sign the runtime key."""
        agent, collector, asset = (ids.new(kind) for kind in (ids.AGENT, ids.COLLECTOR, ids.ASSET))
        key = issue_key(
            keyring,
            origin,
            environment=environment,
            agent=agent,
            collector=collector,
            asset=asset,
        )
        return cls(split, idempotency, agent, collector, asset, key)

    def identity(self, origin: Origin, old: AgentIdentityItem, name: str) -> AgentIdentityItem:
        """The identity as the answer shows it."""
        return AgentIdentityItem(
            agent_id=self.agent,
            name=name,
            project=old.project,
            environment=old.environment,
            labels=old.labels,
            collector=self.collector,
            asset=self.asset,
            created_at=origin.now,
        )

    def wrote_it_before(self, cancelled: Cancelled) -> bool:
        """Whether the SDK repeated a request whose answer was lost: the identity is ours."""
        row = AgentIdentityItem.from_item(cancelled.item("identity"))
        return row is not None and row.agent_id == self.agent

    def transaction(
        self,
        origin: Origin,
        claims: RuntimeClaims,
        seen: AgentPresenceItem,
        old: AgentIdentityItem,
        token: EnrollmentTokenItem | None,
        name: str,
    ) -> Transaction:
        """The decision as a condition, the identity, its name, presence, receipt and evidence."""
        organization = origin.organization
        transaction = Transaction()
        presence_changes.check_split(transaction, seen, key=claims.digest, split=self.split)
        organizations.check_active(
            transaction, "environment", environment_row(organization, claims.environment)
        )
        if token is not None:
            splits.count(transaction, organization, token.token)
        self._add_agent(transaction, origin, old, name)
        splits.put_receipt(
            transaction,
            organization,
            claims.agent,
            self.split,
            idempotency_digest=self.idempotency,
            token=str(old.token),
            shown_key=claims.digest,
            agent=self.agent,
            key_digest=self.key.digest,
            now=origin.now,
        )
        self._add_evidence(transaction, origin, old, name)
        return transaction

    def _add_agent(
        self, transaction: Transaction, origin: Origin, old: AgentIdentityItem, name: str
    ) -> None:
        # Not the machine's fingerprint: where the copy runs, only its own facts can say.
        agent_identities.create(
            transaction,
            origin.organization,
            self.agent,
            environment=str(old.environment),
            name=name,
            token=str(old.token),
            created_at=origin.now,
            project=old.project,
            labels=old.labels,
            hostname=old.hostname,
            os=old.os,
            arch=old.arch,
            agent_version=old.agent_version,
            collector=self.collector,
            asset=self.asset,
        )
        presence_writes.create(
            transaction,
            origin.organization,
            self.agent,
            project=str(old.project),
            environment=str(old.environment),
            key=self.key.digest,
            scopes=set(runtime_key.SCOPES),
        )

    def _add_evidence(
        self, transaction: Transaction, origin: Origin, old: AgentIdentityItem, name: str
    ) -> None:
        enrolled = AgentEnrolled(
            agent_id=self.agent,
            name=name,
            token_id=str(old.token),
            hostname=old.hostname,
            collector_id=self.collector,
            asset_id=self.asset,
            runtime_key_sha256=self.key.digest.hex(),
            runtime_key_expires_at=rfc3339(self.key.expires_at),
        )
        taken = AgentSplit(
            agent_id=old.agent_id, new_agent_id=self.agent, instance=self.split.hex()
        )
        place = {"project": old.project, "environment": old.environment}
        audit_records.put(
            transaction, success(origin, taken, resource=("agent", old.agent_id), **place)
        )
        audit_records.put(
            transaction,
            success(origin, enrolled, resource=("agent", self.agent), **place),
            "audit of the new one",
        )
