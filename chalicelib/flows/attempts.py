"""The flight recorder: what became of hosts that tried to enroll and were refused."""

from chalicelib import ids
from chalicelib.errors import DomainError, Unavailable
from chalicelib.evidence.record import Origin
from chalicelib.flows.enrollment import ExchangeRequest
from chalicelib.flows.environment_lists import Page, Position, over_environments
from chalicelib.store import attempts, enrollment_tokens
from chalicelib.store.attempts import Claimed
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.paging import Span
from chalicelib.telemetry import count, logger

_MOST_SEEN = 1_000


def record(
    origin: Origin, token: EnrollmentTokenItem, request: ExchangeRequest, error: DomainError
) -> None:
    """Keep what is known of a refused attempt at a known token.

    An outage changes nothing for the caller. An attempt is a help for operators and no evidence:
    nothing depends on it (law 6), and the refusal's audit record is written, or answered 503,
    before this. Were it otherwise, an outage would tell whoever guesses at a known token (and has
    no audit record) from one who made the token up. What could not be kept is counted in a metric.
    """
    claimed = Claimed(
        hostname=request.hostname,
        name=request.name,
        os=request.os,
        arch=request.arch,
        agent_version=request.agent_version,
    )
    try:
        attempts.record(origin, token, claimed, error.code)
    except Unavailable as outage:
        count("AttemptNotRecorded")
        logger.error(
            "attempt not recorded",
            organization=origin.organization,
            token=token.token,
            reason=error.code,
            request_id=origin.request_id,
            cause=outage.cause,
        )


def page(
    organization: str,
    *,
    environments: list[str],
    token: str | None,
    start: Position | None,
    limit: int,
) -> Page[EnrollmentTokenItem]:
    """Refused attempts, newest first within each environment, of all tokens or of one."""
    if token is not None:
        environments = _only_that_of(organization, token, environments)
    rows: list[EnrollmentTokenItem] = []
    listing = over_environments(
        environments,
        start,
        Span(None, limit, newest_first=True),
        lambda name, part: attempts.listed(organization, name, part),
    )
    for seen, (name, row) in enumerate(listing, start=1):
        if token is None or row.token == token:
            rows.append(row)
        if len(rows) == limit or seen == _MOST_SEEN:
            return Page(rows, Position(name, str(row.created)))
    return Page(rows, None)


def _only_that_of(organization: str, token: str, environments: list[str]) -> list[str]:
    known = ids.is_a(ids.ENROLLMENT_TOKEN, token)
    row = enrollment_tokens.find(organization, token) if known else None
    return [name for name in environments if row is not None and name == row.environment]
