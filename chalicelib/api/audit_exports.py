"""Exports of the audit trail: asked for, looked at, downloaded by presigned addresses."""

from typing import Annotated, Any

import msgspec
from chalice import Response

from chalicelib import runtime
from chalicelib.api import requests, shapes, times
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.errors import Malformed
from chalicelib.evidence.envelope import rfc3339
from chalicelib.fields import PRINTABLE, PRINTABLE_RULE, matching
from chalicelib.flows import audit_trail
from chalicelib.flows.audit_trail import AuditQuery

_Text = Annotated[str, matching(PRINTABLE, PRINTABLE_RULE, max_length=256)]
api = Api(__name__)


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records: a time range, and perhaps one resource."""

    since: _Text
    until: _Text
    resource_type: _Text | None = None
    resource_id: _Text | None = None


@api.route("/audit-records/export", methods=["POST"])
def export_audit_records(caller: Caller) -> Response:
    """Start an export; the job writes its files (202)."""
    from chalicelib.flows import audit_export  # noqa: PLC0415 - a heartbeat exports nothing

    query = _query(requests.body(api.current_request, ExportRequest))
    job = audit_export.request(runtime.current().patience, caller.origin, query)
    return answer({"job": shapes.job(job)}, 202)


@api.route("/audit-records/exports/{export_id}", methods=["GET"])
def get_audit_export(caller: Caller, export_id: str) -> Response:
    """An export's status (its identifier is its job's) and, once it is done, its files."""
    from chalicelib.flows import audit_export  # noqa: PLC0415 - a heartbeat exports nothing

    requests.query(api.current_request)
    now, origin = runtime.current(), caller.origin
    export = audit_export.get(now.exports, origin.organization, export_id, origin.now)
    return answer(
        {
            **shapes.job(export.job),
            "expires_at": rfc3339(export.expires_at),
            "files": [_file(download) for download in export.files],
            "manifest": export.manifest and _file(export.manifest),
        }
    )


def _file(download: Any) -> dict[str, Any]:  # noqa: ANN401 - of a module that is imported late
    return {**msgspec.to_builtins(download.file), "url": download.url}


def _query(wanted: ExportRequest) -> AuditQuery:
    since, until = _moment("since", wanted.since), _moment("until", wanted.until)
    if not audit_trail.is_range(since, until):
        raise _invalid("since", audit_trail.RANGE)
    if (wanted.resource_type is None) != (wanted.resource_id is None):
        raise _invalid("resource_id", "goes with resource_type")
    resource = (
        (wanted.resource_type, wanted.resource_id)
        if wanted.resource_type is not None and wanted.resource_id is not None
        else None
    )
    return AuditQuery(since=since, until=until, resource=resource, newest_first=False)


def _moment(name: str, text: str) -> int:
    try:
        return times.moment(text)
    except ValueError as error:
        raise _invalid(name, str(error)) from error


def _invalid(path: str, message: str) -> Malformed:
    return Malformed(
        "The request is not valid.", extra={"errors": [{"path": path, "message": message}]}
    )
