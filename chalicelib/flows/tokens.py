"""Looking at enrollment tokens, and revoking them."""

import hashlib
from collections.abc import Iterator
from itertools import islice

import msgspec

from chalicelib import ids
from chalicelib.errors import NotFound
from chalicelib.evidence.events import EnrollmentTokenRevoked, JobStarted
from chalicelib.evidence.record import Origin, success
from chalicelib.fields import Note
from chalicelib.flows import counting
from chalicelib.flows.contention import Patience
from chalicelib.flows.environment_lists import Page, Position, over_environments
from chalicelib.store import audit_records, enrollment_tokens, jobs, token_counters
from chalicelib.store.enrollment_tokens import ACTIVE, REVOKED, EnrollmentTokenItem
from chalicelib.store.jobs import REVOKE_AGENTS_OF_TOKEN, JobItem
from chalicelib.store.paging import Span
from chalicelib.store.transaction import Transaction

TOKEN_STATUSES = ("active", "spent", "expired", "revoked")
_MOST_SEEN = 1_000
_COUNTED_AT_ONCE = 50  # where a page is short and a filter may pass most tokens over


class RevokeTokenRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the agents that the token created end with it, and why."""

    cascade: bool = False
    note: Note | None = None


class RevokedToken(msgspec.Struct, frozen=True):
    """The token, and the job that ends its agents, if that was asked for."""

    token: EnrollmentTokenItem
    job: JobItem | None


def status_of(row: EnrollmentTokenItem, now: int) -> str:
    """One of `TOKEN_STATUSES`: what an exchange would be told at this moment."""
    if row.status != ACTIVE:
        return REVOKED
    if int(row.expires_at) <= now:
        return "expired"
    return "spent" if int(row.uses) >= int(row.max_uses) else ACTIVE


def get(organization: str, token: str) -> EnrollmentTokenItem:
    """One token of the organization.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    known = ids.is_a(ids.ENROLLMENT_TOKEN, token)
    row = token_counters.find(organization, token) if known else None
    if row is None:
        raise NotFound("There is no such enrollment token.", code="enrollment_token_not_found")
    return row


def page(
    organization: str,
    *,
    environments: list[str],
    status: str | None,
    start: Position | None,
    limit: int,
    now: int,
) -> Page[EnrollmentTokenItem]:
    """Tokens of some environments, newest first, by status."""
    rows: list[EnrollmentTokenItem] = []
    span = Span(None, limit, newest_first=True)
    listing = over_environments(
        environments,
        start,
        span,
        lambda name, part: enrollment_tokens.listed(organization, name, part),
    )
    at_once = limit if status is None else max(limit, _COUNTED_AT_ONCE)
    counted = _summed_up(organization, listing, at_once)
    for seen, (name, row) in enumerate(counted, start=1):
        if status is None or status_of(row, now) == status:
            rows.append(row)
        if len(rows) == limit or seen == _MOST_SEEN:
            return Page(rows, Position(name, str(row.created)))
    return Page(rows, None)


def _summed_up(
    organization: str, listing: Iterator[tuple[str, EnrollmentTokenItem]], at_once: int
) -> Iterator[tuple[str, EnrollmentTokenItem]]:
    while found := list(islice(listing, at_once)):
        token_counters.sum_up_all(organization, [row for _, row in found])
        yield from found


def revoke(
    patience: Patience, origin: Origin, token: str, request: RevokeTokenRequest
) -> RevokedToken:
    """End a token at once; with `cascade`, start the job that ends its agents.

    Revoking twice changes nothing; asking for the cascade afterwards starts it. From the token's
    own row on, every new exchange is refused; closing the counter rows ends those under way.

    Raises:
        NotFound: there is no such token in the organization.
        Contention: to be repeated. The token may be revoked already, while an exchange that
            was under way may still succeed.
    """
    row = get(origin.organization, token)
    job_id = _job_of(origin.organization, token)
    for _ in patience.rounds():
        ended = row.status == REVOKED
        running = request.cascade and _job_is_there(origin.organization, job_id, origin.now)
        if ended and (running or not request.cascade):
            break
        cancelled = _transaction(
            origin, row, request, job_id if request.cascade and not running else None
        ).write()
        if cancelled is None:
            break
        row = get(origin.organization, token)
    counting.close(patience, origin.organization, row)
    return RevokedToken(
        get(origin.organization, token),
        jobs.find(origin.organization, job_id) if request.cascade else None,
    )


def _job_of(organization: str, token: str) -> str:
    # The job follows from the token, so that asking twice finds the same one.
    seed = f"{REVOKE_AGENTS_OF_TOKEN}\n{organization}\n{token}"
    return ids.derived(ids.JOB, hashlib.sha256(seed.encode()).digest())


def _job_is_there(organization: str, job: str, now: int) -> bool:
    row = jobs.find(organization, job)
    return row is not None and not jobs.may_start_again(row, now)


def _transaction(
    origin: Origin, row: EnrollmentTokenItem, request: RevokeTokenRequest, job_id: str | None
) -> Transaction:
    transaction = Transaction()
    where = {"project": row.project, "environment": row.environment}
    if row.status != REVOKED:
        enrollment_tokens.revoke(transaction, origin.organization, row.token)
        audit_records.put(
            transaction,
            success(
                origin,
                EnrollmentTokenRevoked(token_id=row.token, uses=int(row.uses), note=request.note),
                resource=("enrollment_token", row.token),
                **where,
            ),
        )
    if job_id is not None:
        jobs.start(
            transaction,
            origin.organization,
            job_id,
            kind=REVOKE_AGENTS_OF_TOKEN,
            target=row.token,
            note=request.note,
            origin=origin,
            project=row.project,
            environment=row.environment,
        )
        audit_records.put(
            transaction,
            success(
                origin,
                JobStarted(job_id=job_id, kind=REVOKE_AGENTS_OF_TOKEN, token_id=row.token),
                resource=("job", job_id),
                **where,
            ),
            part="job_audit",
        )
    return transaction
