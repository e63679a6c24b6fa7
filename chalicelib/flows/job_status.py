"""Looking at jobs."""

from chalicelib import ids
from chalicelib.errors import NotFound
from chalicelib.store import jobs
from chalicelib.store.jobs import JobItem


def get(organization: str, job: str) -> JobItem:
    """One job of the organization.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    row = jobs.find(organization, job) if ids.is_a(ids.JOB, job) else None
    if row is None:
        raise NotFound("There is no such job.", code="job_not_found")
    return row
