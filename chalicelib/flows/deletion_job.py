"""The job that deletes a parent with everything below it, step by step (law 3).

The first step closes what is below once more. Those that follow make *passes*: over all
environments, their tokens and agents, and over what else belongs to the parent. The job is done
after a pass that found nothing and that began `SETTLED_MS` or later after the last change that any
pass made, or, before any, after everything was closed. Why that suffices:

- Agents and tokens are found by indexes, which are behind for a moment. What is written before a
  moment shows in them `SETTLED_MS` later: DynamoDB is behind by far less than a second as a rule.
- Nothing is written after that moment. Minting is conditional on the environment's row, which is
  closed before the first pass. An exchange that began before is conditional on the row that counts
  its use, which a pass ends as soon as it sees the token; and ending a token is a change, so that
  the agent which this exchange may have made before has as long to show.
- What belongs to the organization itself is read strongly, and joining it, inviting and making keys
  are conditional on its row, which is closed before the first pass.

What is left is an index that is behind by more than `SETTLED_MS`: DynamoDB promises no bound. An
agent that shows only after that would keep its identity, below an environment that is no more.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain

import msgspec

from chalicelib.errors import DomainError, Unavailable
from chalicelib.evidence.events import Detail
from chalicelib.evidence.organization_events import (
    EnvironmentDeleted,
    OrganizationDeleted,
    ProjectDeleted,
)
from chalicelib.evidence.record import success
from chalicelib.flows import deletion, deletion_children, end_agents
from chalicelib.flows.deletion import Parent
from chalicelib.flows.deletion_children import Found, Run
from chalicelib.flows.job_steps import Progress, StepTools
from chalicelib.store import (
    agent_lists,
    audit_records,
    enrollment_tokens,
    jobs,
    organizations,
    parents,
)
from chalicelib.store.jobs import JobItem
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.transaction import Transaction

SETTLED_MS = 15_000
_LONGEST_WAIT_SECONDS = 0.5
"""A shard of the stream has other jobs, too: they get their turn in between."""
# Soon at first, then more seldom: each note is one more record in the stream.
_FIRST_TOLD_MS = 1_000
_TOLD_AT_LEAST_MS = 30_000


class Position(msgspec.Struct, frozen=True):
    """How far the job is.

    Args:
        changed_at: when the last pass that found something ended; or when everything was closed.
        began_at: when the present pass began, of which earlier steps made a part.
        found: whether it has changed anything.
        refused: whether it has found anything that it could not change.
        after: the last environment that it is through with.
    """

    changed_at: int
    began_at: int | None = None
    found: bool = False
    refused: bool = False
    after: str = ""


class _TimeIsUp(Exception):
    """The function must come to an end; the pass goes on in the next step."""


def work(tools: StepTools, organization: str, row: JobItem) -> Progress:
    """Close what is below the job's parent, or make a pass over it as far as time allows."""
    parent = deletion.of_job(organization, row)
    step = _Step(tools, parent, row)
    try:
        with ThreadPoolExecutor(end_agents.AT_ONCE) as pool:
            return step.take(Run(tools, parent, row, pool))
    except DomainError as error:
        return step.progress(error=error.code)
    except _TimeIsUp:
        return step.progress(waits=0)


class _Step:
    """One step: what it has done so far, which must not be lost when it ends early."""

    def __init__(self, tools: StepTools, parent: Parent, row: JobItem) -> None:
        self._tools = tools
        self._parent = parent
        self._row = row
        self._processed = int(row.processed)
        self._total = None if row.total is None else int(row.total)
        self._position = msgspec.convert(row.position, Position) if row.position else None
        self._told_at, self._gap = tools.clock(), _FIRST_TOLD_MS

    def progress(self, *, error: str | None = None, waits: float | None = None) -> Progress:
        """How far the job came, where this is not its end."""
        position = None if self._position is None else msgspec.to_builtins(self._position)
        return Progress(self._processed, self._total, False, error, position, waits)

    def take(self, run: Run) -> Progress:
        """Close, wait, make a pass, or end: whatever is next."""
        if self._position is None:
            # A step of its own: what is counted here is remembered however later ones end.
            deletion.close_below(self._tools.patience, self._parent)
            self._total = self._processed + _counted(self._parent)
            self._position = Position(self._tools.clock(), began_at=self._tools.clock())
            return self.progress(waits=0)
        position, now = self._position, self._tools.clock()
        settled_at = position.changed_at + SETTLED_MS
        if position.began_at is None:
            if now < settled_at:
                return self.progress(waits=min(_LONGEST_WAIT_SECONDS, (settled_at - now) / 1000))
            position = self._position = msgspec.structs.replace(position, began_at=now)
        self._pass(run)
        if self._position.refused and not self._position.found:
            # What stands in the way may do so for ever: that is an attempt, of which some pass.
            self._position = Position(self._tools.clock())
            return msgspec.structs.replace(self.progress(error="refused"), in_vain=True)
        if self._position.found or (position.began_at or 0) < settled_at:
            changed_at = self._tools.clock() if self._position.found else position.changed_at
            self._position = Position(changed_at)
            return self.progress(waits=0)
        self._remove_below(run)
        # Nothing is left, so all that were counted have ended, whichever step died uncounted.
        processed = max(self._processed, self._total or 0)
        return Progress(processed, processed, True, ending=self._end)

    def _pass(self, run: Run) -> None:
        if self._position is None:
            raise AssertionError("a pass has a position")
        for row in deletion.environments_below(self._parent):
            name = parents.identifier(row)
            if name > self._position.after:
                self._watch(deletion_children.environment(run, name))
                self._position = msgspec.structs.replace(self._position, after=name)
        if self._parent.kind == "project":
            self._watch(deletion_children.project_roles(run))
        if self._parent.kind == "organization":
            self._watch(deletion_children.memberships_and_keys(run))

    def _watch(self, children: Iterator[Found]) -> None:
        for found in children:
            self._processed += found.counted
            if self._position is not None:
                self._position = msgspec.structs.replace(
                    self._position,
                    found=self._position.found or bool(found.counted or found.others),
                    refused=self._position.refused or bool(found.refused),
                )
            if self._tools.time_is_up():
                raise _TimeIsUp
            self._tell()

    def _tell(self) -> None:
        now = self._tools.clock()
        if now - self._told_at < self._gap or self._processed <= int(self._row.processed):
            return
        self._told_at, self._gap = now, min(2 * self._gap, _TOLD_AT_LEAST_MS)
        with suppress(Unavailable):  # only for those who watch
            jobs.tell(
                self._parent.organization,
                self._row,
                processed=self._processed,
                total=max(self._total or 0, self._processed),
                now=now,
            )

    def _remove_below(self, run: Run) -> None:
        """Remove the rows of environments and projects that end with the parent."""
        if self._parent.kind == "environment":
            return
        rows = deletion.environments_below(self._parent)
        if self._parent.kind == "organization":
            rows = chain(rows, organizations.listed(self._parent.organization, "project"))
        for row in rows:
            for _ in self._tools.patience.rounds():
                transaction = Transaction()
                _remove(transaction, run.job, row, self._tools.clock())
                cancelled = transaction.write()
                # Refused: a deletion of its own has come first.
                if cancelled is None or not cancelled.contended:
                    break
            if self._tools.time_is_up():
                raise _TimeIsUp

    def _end(self, transaction: Transaction, now: int) -> None:
        organization = self._parent.organization
        row = organizations.find(organization, self._parent.item)
        if self._parent.kind == "organization":
            parents.entomb(transaction, organization, now)
            name = str(row.name) if row is not None else ""
            detail = OrganizationDeleted(name=name, job_id=self._row.job_id)
            _record(transaction, self._row, now, detail, self._parent)
            return
        parents.reopen(transaction, organization, self._parent.id)
        if row is not None:  # else a deletion further up has come first
            _remove(transaction, self._row, row, now)


def _counted(parent: Parent) -> int:
    """How many agents and tokens there are, as far as the indexes know."""
    return sum(
        count_in(parent.organization, parents.identifier(row))
        for row in deletion.environments_below(parent)
        for count_in in (agent_lists.count_in, enrollment_tokens.count_in)
    )


def _remove(transaction: Transaction, job: JobItem, row: OrganizationItem, now: int) -> None:
    """Add the end of a project's or environment's row, its name, and the evidence."""
    parent, name = deletion.of_row(row), str(row.name)
    parents.remove(transaction, row)
    detail: Detail
    if parent.kind == "environment":
        detail = EnvironmentDeleted(environment_id=parent.id, name=name, job_id=job.job_id)
        where = {"project": row.project, "environment": parent.id}
    else:
        detail = ProjectDeleted(project_id=parent.id, name=name, job_id=job.job_id)
        where = {"project": parent.id}
    _record(transaction, job, now, detail, parent, **where)


def _record(
    transaction: Transaction,
    job: JobItem,
    now: int,
    detail: Detail,
    parent: Parent,
    **where: str | None,
) -> None:
    evidence = success(job.origin(now), detail, resource=(parent.kind, parent.id), **where)
    audit_records.put(transaction, evidence, part="deleted_audit")
