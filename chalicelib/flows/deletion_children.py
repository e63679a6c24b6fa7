"""What a deletion ends below its parent: one generator for each kind of child.

Each yields, from time to time, how many of the counted children (agents and enrollment tokens)
ended since it yielded last, or that it found something else to change: whoever runs them looks at
the clock then. What is found ended and out of the lists is passed over, so that all of them may
begin again after a crash, and a pass that yields nothing but zeros found nothing left.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TypeVar

import msgspec

from chalicelib.errors import NotFound
from chalicelib.evidence.events import Detail
from chalicelib.evidence.member_events import (
    InvitationRevoked,
    MemberRemoved,
    MemberUpdated,
    OrganizationKeyRevoked,
)
from chalicelib.evidence.record import success
from chalicelib.flows import counting, end_agents, oidc_configuration, tokens
from chalicelib.flows.deletion import Parent
from chalicelib.flows.job_steps import StepTools
from chalicelib.flows.tokens import RevokeTokenRequest
from chalicelib.permissions import Role
from chalicelib.store import (
    agent_identities,
    agent_lists,
    audit_records,
    enrollment_tokens,
    identity_providers,
    invitations,
    memberships,
    organization_keys,
    organizations,
    parents,
    people,
)
from chalicelib.store.agent_identities import REVOKED
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem, token_row
from chalicelib.store.jobs import JobItem
from chalicelib.store.organizations import ACTIVE, OrganizationItem
from chalicelib.store.paging import Span
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction

_ALL = Span(None, end_agents.CHUNK, newest_first=False)
Thing = TypeVar("Thing")


class Found(msgspec.Struct, frozen=True):
    """What was found: what was changed (`counted` are agents and tokens), and what could not be."""

    counted: int = 0
    others: int = 0
    refused: int = 0


def _written(transaction: Transaction) -> Found:
    """Write a change. Refused: somebody changed the row, and the next pass will see."""
    return Found(others=1) if transaction.write() is None else Found(refused=1)


class Run(msgspec.Struct, frozen=True):
    """A step of a deletion."""

    tools: StepTools
    parent: Parent
    job: JobItem
    pool: ThreadPoolExecutor

    @property
    def organization(self) -> str:
        """The tenant."""
        return self.parent.organization


def _chunks(things: Iterable[Thing]) -> Iterator[list[Thing]]:
    left = iter(things)
    while chunk := list(islice(left, end_agents.CHUNK)):
        yield chunk


# -------------------------------------------------------------------- of an environment


def environment(run: Run, name: str) -> Iterator[Found]:
    """End an environment's tokens and agents, and take them out of the lists.

    The tokens come first: an exchange is conditional on the row that counts the use, so one that
    began before the environment was closed either has made its agent by then, or never will.
    """
    yield from _revoke_tokens(run, name)
    yield from _end_agents(run, name)
    yield from _forget_tokens(run, name)


def _tokens(run: Run, environment: str) -> Iterator[list[EnrollmentTokenItem]]:
    listed = enrollment_tokens.listed(run.organization, environment, _ALL)
    for chunk in _chunks(row.token for row in listed):
        yield list(_still_there(run, chunk))


def _still_there(run: Run, tokens: list[str]) -> Iterator[EnrollmentTokenItem]:
    for row in read_all([token_row(run.organization, token) for token in tokens]):
        if isinstance(row, EnrollmentTokenItem) and row.deleted_at is None:
            yield row


def _revoke_tokens(run: Run, environment: str) -> Iterator[Found]:
    def revoke(row: EnrollmentTokenItem) -> None:
        origin = run.job.origin(run.tools.clock())
        with suppress(NotFound):  # TTL removed it at this moment
            tokens.revoke(run.tools.patience, origin, row.token, RevokeTokenRequest())

    for rows in _tokens(run, environment):
        left = [row for row in rows if row.status != enrollment_tokens.REVOKED]
        list(run.pool.map(revoke, left))
        for row in rows:
            # Whoever revoked it before may have died before the rows that count its uses.
            if row.counters and row.status == enrollment_tokens.REVOKED:
                counting.close(run.tools.patience, run.organization, row)
        yield Found(others=len(left))


def _end_agents(run: Run, environment: str) -> Iterator[Found]:
    listed = agent_lists.listed(run.organization, environment, _ALL)
    for chunk in _chunks(row.agent_id for row in listed):
        rows = end_agents.read(run.organization, chunk)
        left = [row for row in rows if row.deleted_at is None]
        alive = [row for row in left if row.status != REVOKED]
        tools = run.tools
        end_agents.end(tools.patience, tools.clock, run.pool, run.job, alive, forget=True)
        # Those that ended before leave the lists alone: their end has its evidence already.
        ended = [row.agent_id for row in left if row.status == REVOKED]
        forgotten = _forget(run, ended, agent_identities.forget)
        yield Found(counted=len(alive) + forgotten, refused=len(ended) - forgotten)


def _forget_tokens(run: Run, environment: str) -> Iterator[Found]:
    for rows in _tokens(run, environment):
        names = [row.token for row in rows if row.status == enrollment_tokens.REVOKED]
        forgotten = _forget(run, names, enrollment_tokens.forget)
        yield Found(counted=forgotten, refused=len(rows) - forgotten)


def _forget(run: Run, names: list[str], forget: Callable[..., None]) -> int:
    """Take some out of the lists; how many. Another writer may come first: a later pass sees."""
    now = run.tools.clock()

    def forget_all(names: list[str]) -> bool:
        transaction = Transaction()
        for name in names:
            forget(transaction, run.organization, name, now=now)
        return transaction.write() is None

    if not names or forget_all(names):
        return len(names)
    return sum(forget_all([name]) for name in names)


# ------------------------------------------------------------------------- of a project


def project_roles(run: Run) -> Iterator[Found]:
    """Take the roles in a project from the members' rows."""
    project = run.parent.id
    for row in organizations.listed(run.organization, "member"):
        roles = dict(row.projects or {})
        role = roles.pop(project, None)
        if role is None:
            continue
        transaction = Transaction()
        memberships.change_roles(transaction, row, role=row.role, projects=roles)
        detail = MemberUpdated(
            user_id=str(row.user), role=None, previous_role=role, project_id=project
        )
        audit_records.put(
            transaction,
            success(
                run.job.origin(run.tools.clock()),
                detail,
                resource=("user", str(row.user)),
                project=project,
            ),
        )
        yield _written(transaction)


# -------------------------------------------------------------------- of an organization


def memberships_and_keys(run: Run) -> Iterator[Found]:
    """Take invitations, keys and memberships away; org_admins are told the end for a while."""
    yield from _invitations(run)
    yield from _identity_provider(run)
    yield from _keys(run)
    yield from _members(run)


def _invitations(run: Run) -> Iterator[Found]:
    for row in invitations.listed(run.organization, None):
        transaction = Transaction()
        transaction.delete("invitation", row, people.PersonItem.pk.exists())
        if row.status == people.ACTIVE:
            name = invitations.identifier(row)
            _record(run, transaction, InvitationRevoked(invitation_id=name), ("invitation", name))
        yield _written(transaction)


def _identity_provider(run: Run) -> Iterator[Found]:
    provider = identity_providers.find(run.organization)
    if provider is not None:
        transaction = Transaction()
        row = OrganizationItem(run.organization, identity_providers.ITEM)
        transaction.delete("provider", row, OrganizationItem.organization.exists())
        detail = oidc_configuration.changed(provider, oidc_configuration.REMOVED)
        _record(run, transaction, detail, ("organization", run.organization))
        yield _written(transaction)


def _keys(run: Run) -> Iterator[Found]:
    for row in organizations.listed(run.organization, "key"):
        transaction, name = Transaction(), parents.identifier(row)
        transaction.delete("key", row, OrganizationItem.organization.exists())
        if row.status == ACTIVE:
            detail = OrganizationKeyRevoked(organization_key_id=name)
            _record(run, transaction, detail, ("organization_key", name))
        yield _written(transaction)
    if organization_keys.turn(run.organization):
        transaction = Transaction()
        organization_keys.forget_turn(transaction, run.organization)
        yield _written(transaction)


def _members(run: Run) -> Iterator[Found]:
    for row in organizations.listed(run.organization, "member"):
        transaction = Transaction()
        if row.role == Role.ORG_ADMIN:
            if row.ttl is not None:
                continue
            parents.expire_membership(transaction, row, run.tools.clock())
        else:
            memberships.remove(transaction, row)
            detail = MemberRemoved(
                user_id=str(row.user), role=row.role, projects=dict(row.projects or {})
            )
            _record(run, transaction, detail, ("user", str(row.user)))
        yield _written(transaction)


def _record(run: Run, transaction: Transaction, detail: Detail, resource: tuple[str, str]) -> None:
    origin = run.job.origin(run.tools.clock())
    audit_records.put(transaction, success(origin, detail, resource=resource))
