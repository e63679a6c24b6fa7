"""Refused attempts to enroll, for operators."""

from typing import Any

from chalice import Response

from chalicelib.api import lists
from chalicelib.api.callers import Caller
from chalicelib.api.views import Api
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import attempts as attempt_flow
from chalicelib.store.attempts import count_of
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem

_LIST = "attempts"
_CLAIMED = ("hostname", "name", "os", "arch", "agent_version")
api = Api(__name__, prefix="/api/v1/agent-enrollment")


@api.route("/attempts", methods=["GET"])
def list_attempts(caller: Caller) -> Response:
    """Refused attempts at known tokens, newest first within each environment."""
    wanted = lists.paging(
        api.current_request, caller.origin.organization, _LIST,
        "environment", "enrollment_token_id", parts=2,
    )  # fmt: skip
    page = attempt_flow.page(
        caller.origin.organization,
        environments=lists.environments(caller, wanted.given),
        token=wanted.given.get("enrollment_token_id"),
        start=wanted.start,
        limit=wanted.limit,
    )
    return wanted.answer("attempts", [_shape(row) for row in page.rows], page.next)


def _shape(row: EnrollmentTokenItem) -> dict[str, Any]:
    claimed = row.claimed or {}
    return {
        "time": rfc3339(int(row.created_at)),
        "enrollment_token_id": row.token,
        "project": row.project,
        "environment": row.environment,
        "reason": row.reason,
        "count": count_of(row),
        "source_address": row.source_address,
        "claimed": {name: claimed.get(name) for name in _CLAIMED},
        "request_id": row.request_id,
    }
