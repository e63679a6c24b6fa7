"""What an exchange, and its dry run, find by a token: the token, its environment, its receipt."""

import msgspec

from chalicelib.credentials.opaque import OpaqueClaims
from chalicelib.errors import DomainError, Forbidden, Malformed
from chalicelib.evidence.events import EnrollmentFailed
from chalicelib.evidence.record import Origin
from chalicelib.evidence.record import refusal as refusal_evidence
from chalicelib.fields import MOST_LABELS
from chalicelib.flows import admission, attempts, environment_control
from chalicelib.flows.enrollment import EnrollTools, ExchangeRequest
from chalicelib.store import organizations, token_counters
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem, receipt_row, token_row
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.table import read_all
from chalicelib.telemetry import count


class Found(msgspec.Struct, frozen=True):
    """What the holder of a token comes to.

    Args:
        token: its uses summed up.
        environment: that it is for; None where there is none any more.
        receipt: of a use under the same idempotency key.
        counters: the rows that count its uses.
    """

    token: EnrollmentTokenItem
    environment: OrganizationItem | None
    receipt: EnrollmentTokenItem | None
    counters: list[EnrollmentTokenItem]

    @property
    def interval(self) -> int:
        """How often the environment's agents are to beat, in seconds."""
        return environment_control.of_row(self.environment, 0).interval

    @property
    def fingerprint_key(self) -> bytes | None:
        """The organization's key for machine ids."""
        return self.environment.fingerprint_key if self.environment is not None else None

    def check_open(self) -> None:
        """Refuse where the environment enrolls nobody.

        Raises:
            Forbidden: it does not exist any more, or is being deleted.
        """
        if self.environment is None or self.environment.status != organizations.ACTIVE:
            raise Forbidden(
                "The environment does not enroll agents now.", code="environment_closed"
            )


def look_up(
    origin: Origin, claims: OpaqueClaims, request: ExchangeRequest, idempotency: bytes | None
) -> Found:
    """Token and receipt in one strongly consistent request, then what the token names.

    Raises:
        Unauthenticated: the caller does not hold the token.
        Unavailable: the database did not answer.
    """
    keys = [token_row(origin.organization, claims.id)]
    if idempotency is not None:
        keys.append(receipt_row(origin.organization, claims.id, idempotency))
    token, *rest = read_all(keys)
    if not isinstance(token, EnrollmentTokenItem):
        # Of what names no token only the number is kept.
        count("CredentialRejected", reason="enrollment_token_unknown")
        raise admission.not_the_holder()
    if not admission.holds_secret(token, claims.digest):
        error = admission.not_the_holder()
        attempts.record(origin, token, request, error)
        raise error
    environment, counters = _environment_and_counters(origin.organization, token)
    receipt = rest[0] if rest and isinstance(rest[0], EnrollmentTokenItem) else None
    return Found(token, environment, receipt, counters)


def _environment_and_counters(
    organization: str, token: EnrollmentTokenItem
) -> tuple[OrganizationItem | None, list[EnrollmentTokenItem]]:
    """In one strongly consistent request; the token itself where it counts its uses itself."""
    if not token.counters:
        return organizations.find_environment(organization, str(token.environment)), [token]
    environment, *rows = read_all(
        [
            organizations.environment_row(organization, str(token.environment)),
            *token_counters.keys_of(organization, token),
        ]
    )
    counters = [row for row in rows if isinstance(row, EnrollmentTokenItem)]
    token_counters.sum_up(token, counters)
    return environment if isinstance(environment, OrganizationItem) else None, counters


def check_limits(token: EnrollmentTokenItem, request: ExchangeRequest) -> None:
    """Refuse a host that would have too many labels, its token's included.

    Raises:
        Malformed: it would.
    """
    if len({**request.labels, **(token.labels or {})}) > MOST_LABELS:
        raise Malformed(
            "Together with the token's there are too many labels.",
            extra={"errors": [{"path": "labels", "message": f"at most {MOST_LABELS} in all"}]},
        )


def record_refusal(
    tools: EnrollTools,
    origin: Origin,
    token: EnrollmentTokenItem,
    request: ExchangeRequest,
    error: DomainError,
) -> None:
    """Leave the evidence of a refusal, and a row for the operators' flight recorder."""
    tools.refusals.record(
        refusal_evidence(
            origin,
            EnrollmentFailed(
                token_id=token.token,
                reason=error.code,
                claimed_hostname=request.hostname,
                claimed_name=request.name,
            ),
            error.code,
            resource=("enrollment_token", token.token),
            project=token.project,
            environment=token.environment,
        )
    )
    attempts.record(origin, token, request, error)
