"""Which exports of an organization are under way: one row, which each request for one changes.

Nobody takes a job out of it at its end. Whoever asks next looks at the jobs that it names, so a
place is free again however a job came to its end.
"""

import datetime

import msgspec

from chalicelib.store.jobs import DONE, KEPT, JobItem, job_row, may_start_again
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Transaction

PART = "exports"
_ITEM = "exports"


class Places(msgspec.Struct, frozen=True):
    """The exports that have not ended, and at which change of the row that was so."""

    jobs: frozenset[str]
    revision: int


def read(organization: str, now: int) -> Places:
    """The exports of an organization that have not ended; one that stands still has."""
    row = OrganizationItem.read(organization, _ITEM)
    if row is None:
        return Places(frozenset(), 0)
    named = sorted(row.exports or ())
    found = read_all([job_row(organization, job) for job in named]) if named else []
    live = frozenset(
        job.job_id
        for job in found
        if isinstance(job, JobItem) and job.status != DONE and not may_start_again(job, now)
    )
    return Places(live, int(row.revision or 0))


def take(transaction: Transaction, organization: str, seen: Places, job: str, now: int) -> None:
    """Add an export to those that were seen, if none was added since (part `exports`)."""
    item = OrganizationItem
    moment = datetime.datetime.fromtimestamp(now // 1000, tz=datetime.UTC)
    transaction.update(
        PART,
        item(organization, _ITEM),
        [
            item.exports.set(set(seen.jobs | {job})),
            item.revision.set(seen.revision + 1),
            item.created_at.set(now),
            item.ttl.set(moment + KEPT),
        ],
        item.revision == seen.revision if seen.revision else item.revision.does_not_exist(),
    )
