"""The job that ends all agents of a revoked enrollment token, step by step (law 3)."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice

import msgspec

from chalicelib.errors import DomainError, Unavailable
from chalicelib.evidence.events import JobFinished
from chalicelib.evidence.record import success
from chalicelib.flows import counting, revoke_agent
from chalicelib.flows.contention import Patience
from chalicelib.flows.revoke_agent import MOST_TOGETHER
from chalicelib.store import (
    agent_identities,
    audit_records,
    enrollment_tokens,
    jobs,
    token_counters,
)
from chalicelib.store.agent_identities import REVOKED, AgentIdentityItem, agent_row
from chalicelib.store.jobs import DONE, FAILED, QUEUED, RUNNING, JobItem
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction

_CHUNK = 100  # the most that one BatchGetItem takes
_AT_ONCE = 10
# Soon at first, then more seldom: each note is a record in the stream, and so one more invocation
# that finds nothing to do.
_FIRST_TOLD_MS = 1_000
_TOLD_AT_LEAST_MS = 30_000
_MOST_ATTEMPTS = 20
_PAUSE_SECONDS = 0.5


class CascadeTools(msgspec.Struct, frozen=True):
    """What a step needs from outside: `time_is_up` says when the function must come to an end."""

    patience: Patience
    clock: Callable[[], int]
    time_is_up: Callable[[], bool]


class _Progress(msgspec.Struct, frozen=True):
    ended: int
    total: int
    error: str | None

    @property
    def complete(self) -> bool:
        # Uses count the agents that the token ever made, exactly and in the same transaction, so
        # an index that lags behind cannot make the job believe that it is done.
        return self.error is None and self.ended >= self.total


def step(tools: CascadeTools, organization: str, job: str, number: int) -> None:
    """Work on a job until it is done or time is up, then write down how far it came.

    That write appears in the table's stream and starts the next step. A record of a step that
    was overtaken is passed over.

    Raises:
        Unavailable: the outcome could not be written; the stream repeats the record.
    """
    row = jobs.find(organization, job)
    if row is None or row.status not in {QUEUED, RUNNING} or int(row.step) != number:
        return
    progress = _work(tools, organization, row)
    attempts = int(row.attempts)
    if progress.complete:
        status = DONE
    else:
        # A step that ended more agents than any before is progress, not an attempt.
        attempts = 0 if progress.ended > int(row.processed) else attempts + 1
        status = FAILED if attempts >= _MOST_ATTEMPTS else RUNNING
        if attempts:
            tools.patience.sleep(_PAUSE_SECONDS)
    _write_down(tools, organization, row, progress, status, attempts)


def _work(tools: CascadeTools, organization: str, row: JobItem) -> _Progress:
    ended, total = 0, int(row.total or 0)
    told_at, gap = tools.clock(), _FIRST_TOLD_MS
    try:
        total = _uses_of(tools, organization, row, otherwise=total)
        agents = agent_identities.created_by(organization, row.target)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            while chunk := list(islice(agents, _CHUNK)):
                _end_all(tools, pool, organization, row, chunk)
                ended += len(chunk)
                if tools.time_is_up():
                    return _Progress(ended, max(total, ended + 1), None)
                if tools.clock() - told_at >= gap:
                    told_at, gap = tools.clock(), min(2 * gap, _TOLD_AT_LEAST_MS)
                    with suppress(Unavailable):  # only for those who watch
                        jobs.tell(organization, row, processed=ended, total=total, now=told_at)
    except DomainError as error:
        return _Progress(ended, total, error.code)
    return _Progress(ended, total, None)


def _uses_of(tools: CascadeTools, organization: str, row: JobItem, *, otherwise: int) -> int:
    """How many agents the token made, once no exchange that was under way can make another."""
    token = enrollment_tokens.find(organization, row.target)
    if token is None:
        return otherwise
    counting.close(tools.patience, organization, token)
    token_counters.sum_up(token, token_counters.read(organization, token))
    return int(token.uses)


def _end_all(
    tools: CascadeTools,
    pool: ThreadPoolExecutor,
    organization: str,
    row: JobItem,
    agents: list[str],
) -> None:
    def end(group: list[AgentIdentityItem]) -> None:
        origin = row.origin(tools.clock())
        revoke_agent.revoke_together(tools.patience, origin, group, row.note, row.job_id)

    # Every group ends or fails before the step goes on, or gives up.
    list(pool.map(end, _groups(_not_ended(organization, agents))))


def _groups(rows: Iterator[AgentIdentityItem]) -> Iterator[list[AgentIdentityItem]]:
    while group := list(islice(rows, MOST_TOGETHER)):
        yield group


def _not_ended(organization: str, agents: list[str]) -> Iterator[AgentIdentityItem]:
    # A hundred agents are read at once, and a step that starts again tries only those left.
    for identity in read_all([agent_row(organization, agent) for agent in agents]):
        if isinstance(identity, AgentIdentityItem) and identity.status != REVOKED:
            yield identity


def _write_down(
    tools: CascadeTools,
    organization: str,
    row: JobItem,
    progress: _Progress,
    status: str,
    attempts: int,
) -> None:
    for _ in tools.patience.rounds():
        now = tools.clock()
        transaction = Transaction()
        jobs.advance(
            transaction,
            organization,
            row,
            status=status,
            # What was told before a step died stays true: those agents have ended.
            processed=max(progress.ended, int(row.processed)),
            total=progress.total if progress.complete or row.total is None else None,
            attempts=attempts,
            last_error=progress.error,
            now=now,
        )
        if status in {DONE, FAILED}:
            audit_records.put(
                transaction,
                success(
                    row.origin(now),
                    JobFinished(
                        job_id=row.job_id,
                        kind=row.kind,
                        status=status,
                        processed=progress.ended,
                    ),
                    resource=("job", row.job_id),
                ),
            )
        cancelled = transaction.write()
        if cancelled is None or not cancelled.contended:
            return
