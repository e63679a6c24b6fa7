"""Routes of the audit trail, its exports, and attempts to enroll."""

from typing import Any

from chalicelib.api.audit_exports import ExportRequest
from chalicelib.evidence.envelope import rfc3339
from tests.functional.route import Route
from tests.functional.world import World


def _yesterday(world: World) -> dict[str, Any]:
    now = world.tenant.api.clock.now
    return {"since": rfc3339(now - 86_400_000), "until": rfc3339(now)}


ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/api/v1/audit-records",
        query=("since", "until", "resource_type", "resource_id", "order", "limit", "cursor"),
        ids_in_query={"resource_id": "agt"},
    ),
    Route("POST", "/api/v1/audit-records/export", kind=ExportRequest, body=_yesterday),
    Route("GET", "/api/v1/audit-records/exports/{export_id}"),
    Route(
        "GET", "/api/v1/agent-enrollment/attempts",
        query=("environment", "enrollment_token_id", "limit", "cursor"),
        ids_in_query={"environment": "env", "enrollment_token_id": "tok"},
    ),
)  # fmt: skip
