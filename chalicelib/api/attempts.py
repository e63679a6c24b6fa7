"""Refused attempts to enroll, for operators."""

from typing import Any

from chalice import Response

from chalicelib import runtime
from chalicelib.api import cursors, lists, requests
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import attempts as attempt_flow
from chalicelib.flows.environment_lists import Position
from chalicelib.store.attempts import count_of
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem

_LIST = "attempts"
_CLAIMED = ("hostname", "name", "os", "arch", "agent_version")
api = Api(__name__, prefix="/api/v1/agent-enrollment")


@api.route("/attempts", methods=["GET"])
def list_attempts(caller: Caller) -> Response:
    """Refused attempts at known tokens, newest first within each environment."""
    given = requests.query(
        api.current_request, "environment", "enrollment_token_id", "limit", "cursor"
    )
    organization, keyring = caller.origin.organization, runtime.current().keyring
    position = cursors.decode(keyring, organization, _LIST, given, parts=2)
    page = attempt_flow.page(
        organization,
        environments=lists.environments(caller, given),
        token=given.get("enrollment_token_id"),
        start=Position(*position) if position else None,
        limit=requests.whole_number(given, "limit", default=50, least=1, most=100),
    )
    return answer(
        {
            "attempts": [_shape(row) for row in page.rows],
            "next_cursor": page.next
            and cursors.encode(
                keyring, organization, _LIST, given, [page.next.environment, page.next.after]
            ),
        }
    )


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
