"""Ending many agents: read a hundred at once, ended in groups that share a transaction."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from chalicelib.flows import revoke_agent
from chalicelib.flows.contention import Patience
from chalicelib.flows.revoke_agent import MOST_TOGETHER
from chalicelib.store.agent_identities import AgentIdentityItem, agent_row
from chalicelib.store.jobs import JobItem
from chalicelib.store.table import read_all

CHUNK = 100
"""The most that one BatchGetItem takes."""
AT_ONCE = 10
"""Groups that a job ends side by side."""


def read(organization: str, agents: list[str]) -> Iterator[AgentIdentityItem]:
    """The identities of at most `CHUNK` agents as they are now: an index is behind at times."""
    for identity in read_all([agent_row(organization, agent) for agent in agents]):
        if isinstance(identity, AgentIdentityItem):
            yield identity


def end(
    patience: Patience,
    clock: Callable[[], int],
    pool: ThreadPoolExecutor,
    job: JobItem,
    rows: Iterable[AgentIdentityItem],
    *,
    forget: bool = False,
) -> None:
    """End agents in a job's name; every group ends, or fails before the job goes on.

    Args:
        patience: how contention is waited out.
        clock: milliseconds since the epoch.
        pool: where the groups go.
        job: in whose name.
        rows: identities that were just read, none of them ended.
        forget: they leave the lists, too.

    Raises:
        Unavailable: the database did not answer; each agent has ended in full or not at all.
    """

    def end_group(group: list[AgentIdentityItem]) -> None:
        origin = job.origin(clock())
        revoke_agent.revoke_together(patience, origin, group, job.note, job.job_id, forget=forget)

    list(pool.map(end_group, groups(rows)))


def groups(rows: Iterable[AgentIdentityItem]) -> Iterator[list[AgentIdentityItem]]:
    """As many as may share a transaction."""
    left = iter(rows)
    while group := list(islice(left, MOST_TOGETHER)):
        yield group
