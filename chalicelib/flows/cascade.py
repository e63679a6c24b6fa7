"""The job that ends all agents of a revoked enrollment token, step by step (law 3)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice

from chalicelib.errors import DomainError, Unavailable
from chalicelib.flows import counting, end_agents
from chalicelib.flows.job_steps import Progress, StepTools
from chalicelib.store import agent_lists, enrollment_tokens, jobs, token_counters
from chalicelib.store.agent_identities import REVOKED, AgentIdentityItem
from chalicelib.store.jobs import JobItem

# Soon at first, then more seldom: each note is a record in the stream, and so one more invocation
# that finds nothing to do.
_FIRST_TOLD_MS = 1_000
_TOLD_AT_LEAST_MS = 30_000


def work(tools: StepTools, organization: str, row: JobItem) -> Progress:
    """End the agents that the job's token made, as many as time allows."""
    ended, total, error = _end_agents(tools, organization, row)
    # Uses count the agents that the token ever made, exactly and in the same transaction, so an
    # index that lags behind cannot make the job believe that it is done.
    return Progress(ended, total, complete=error is None and ended >= total, error=error)


def _end_agents(tools: StepTools, organization: str, row: JobItem) -> tuple[int, int, str | None]:
    """How many agents have ended, of how many, and what stood in the way."""
    ended, total = 0, int(row.total or 0)
    told_at, gap = tools.clock(), _FIRST_TOLD_MS
    try:
        total = _uses_of(tools, organization, row, otherwise=total)
        agents = agent_lists.created_by(organization, row.target)
        with ThreadPoolExecutor(end_agents.AT_ONCE) as pool:
            while chunk := list(islice(agents, end_agents.CHUNK)):
                left = _not_ended(organization, chunk)
                end_agents.end(tools.patience, tools.clock, pool, row, left)
                ended += len(chunk)
                if tools.time_is_up():
                    return ended, max(total, ended + 1), None
                if tools.clock() - told_at >= gap:
                    told_at, gap = tools.clock(), min(2 * gap, _TOLD_AT_LEAST_MS)
                    with suppress(Unavailable):  # only for those who watch
                        jobs.tell(organization, row, processed=ended, total=total, now=told_at)
    except DomainError as error:
        return ended, total, error.code
    return ended, total, None


def _uses_of(tools: StepTools, organization: str, row: JobItem, *, otherwise: int) -> int:
    """How many agents the token made, once no exchange that was under way can make another."""
    token = enrollment_tokens.find(organization, row.target)
    if token is None:
        return otherwise
    counting.close(tools.patience, organization, token)
    token_counters.sum_up(token, token_counters.read(organization, token))
    # A split made an agent of the token without a use (docs/decisions/0024).
    return int(token.uses) + int(token.splits or 0)


def _not_ended(organization: str, agents: list[str]) -> Iterator[AgentIdentityItem]:
    # A step that starts again tries only those left.
    return (row for row in end_agents.read(organization, agents) if row.status != REVOKED)
