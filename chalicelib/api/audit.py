"""The audit trail."""

from chalice import Response

from chalicelib.api import lists, requests, shapes, times
from chalicelib.api.callers import Caller
from chalicelib.api.views import Api
from chalicelib.flows import audit_trail

_LIST = "audit_records"
api = Api(__name__)


@api.route("/audit-records", methods=["GET"])
def list_audit_records(caller: Caller) -> Response:
    """Records of a time range (the last day by default), of all resources or of one."""
    origin = caller.origin
    page = lists.paging(
        api.current_request, origin.organization, _LIST,
        "since", "until", "resource_type", "resource_id", "order", parts=3,
    )  # fmt: skip
    given, position = page.given, page.position
    if position is not None and all(text.isdecimal() for text in position[:2]):
        # The range of the first page holds for the pages after it, whatever the clock says now.
        since, until = int(position[0]), int(position[1])
    else:
        since, until = _range(given, origin.now)
    wanted = audit_trail.AuditQuery(
        since=since,
        until=until,
        resource=_resource(given),
        newest_first=requests.one_of(given, "order", ("newest", "oldest")) != "oldest",
    )
    rows, after = audit_trail.page(origin.organization, wanted, after=page.after, limit=page.limit)
    shown = [shapes.audit_record(row) for row in rows]
    return page.answer("audit_records", shown, after and [str(since), str(until), after])


def _range(given: dict[str, str], now: int) -> tuple[int, int]:
    until = _moment(given, "until", now)
    since = _moment(given, "since", until - audit_trail.DEFAULT_RANGE_MS)
    if not audit_trail.is_range(since, until):
        raise requests.bad_parameter("since", audit_trail.RANGE)
    return since, until


def _moment(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name)
    try:
        return default if text is None else times.moment(text)
    except ValueError as error:
        raise requests.bad_parameter(name, str(error)) from error


def _resource(given: dict[str, str]) -> tuple[str, str] | None:
    kind, identifier = given.get("resource_type"), given.get("resource_id")
    if (kind is None) != (identifier is None):
        raise requests.bad_parameter("resource_id", "goes with resource_type")
    return None if kind is None or identifier is None else (kind, identifier)
