"""The export of the audit trail: which records it holds, for whom, and for how long."""

import json
import re
import urllib.parse
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.evidence.envelope import rfc3339
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.exports import DAY, ask, asked, content, export, lines, work_off
from tests.functional.streams import Stream
from tests.functional.world import empty_tables


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture
def stream(stack: dict[str, str]) -> Stream:
    return Stream(stack["JobsStreamArn"])


def listed(tenant: Tenant, **query: Any) -> list[dict[str, Any]]:
    """The trail as the list shows it, oldest first."""
    rows: list[dict[str, Any]] = []
    now = tenant.api.clock.now
    query = {"since": rfc3339(now - DAY), "until": rfc3339(now), "order": "oldest", **query}
    for _ in range(100):
        text = urllib.parse.urlencode({"limit": 100, **query})
        answer = tenant.call("GET", f"/audit-records?{text}")
        assert answer.status == 200, answer.body
        rows += answer.body["audit_records"]
        if answer.body["next_cursor"] is None:
            return rows
        query["cursor"] = answer.body["next_cursor"]
    raise AssertionError("the list does not end")


def test_an_export_is_a_job_whose_lines_are_the_records_of_the_list(
    tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    tenant.enroll()
    clock.advance(seconds=10)
    before = listed(tenant)
    assert len(before) >= 3
    until = rfc3339(clock.now)
    clock.advance(seconds=1)
    answer = ask(tenant, until=until)
    assert answer.status == 202
    started = answer.body["job"]
    assert (started["kind"], started["status"]) == ("export_audit_records", "queued")
    shown = export(tenant, started["job_id"])
    assert (shown["status"], shown["files"], shown["manifest"]) == ("queued", [], None)
    assert work_off(stream) >= 1
    shown = export(tenant, started["job_id"])
    assert (shown["status"], shown["processed"], shown["total"]) == ("done", *[len(before)] * 2)
    assert [json.loads(line) for line in lines(shown)] == before
    for line in lines(shown):
        spelled = json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"))
        assert line.decode() == spelled


def test_addresses_are_presigned_for_five_minutes_and_name_the_tenant_and_the_job(
    tenant: Tenant, stream: Stream
) -> None:
    job = asked(tenant)
    work_off(stream)
    shown = export(tenant, job)
    for file in (*shown["files"], shown["manifest"]):
        assert f"/exports/{tenant.organization}/{job}/{file['name']}?" in file["url"]
        assert "X-Amz-Expires=300" in file["url"]
        assert "X-Amz-Signature=" in file["url"]
        assert "response-content-disposition=attachment%3B" in file["url"]


def test_where_nothing_happened_the_export_says_so(tenant: Tenant, stream: Stream) -> None:
    job = asked(tenant, resource_type="agent", resource_id="agt_nobody")
    work_off(stream)
    shown = export(tenant, job)
    assert (shown["status"], shown["processed"], shown["total"]) == ("done", 0, 0)
    assert lines(shown) == []
    assert json.loads(content(shown["manifest"]["url"]))["records"] == 0


def test_what_happens_after_the_request_is_not_in_the_export(
    tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    job = asked(tenant, until=rfc3339(clock.now + DAY))
    clock.advance(seconds=1)
    late = tenant.mint()["enrollment_token_id"]
    work_off(stream)
    assert late not in str(lines(export(tenant, job)))


def test_a_day_later_the_files_are_gone_and_the_export_says_when(
    tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    job = asked(tenant)
    work_off(stream)
    assert export(tenant, job)["expires_at"] == rfc3339(clock.now + DAY)
    clock.now += DAY - 1
    assert export(tenant, job)["files"]
    clock.now += 1
    shown = export(tenant, job)
    assert (shown["status"], shown["files"], shown["manifest"]) == ("done", [], None)


def test_the_request_and_the_end_of_an_export_are_evidence(
    tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    job = asked(tenant, resource_type="agent", resource_id="agt_1")
    clock.advance(seconds=1)
    work_off(stream)
    first, last = tenant.audit("job", job)
    assert (first["event"], last["event"]) == ("audit.export_requested", "job.finished")
    assert first["detail"]["resource_id"] == "agt_1"
    assert (last["detail"]["kind"], last["detail"]["status"]) == ("export_audit_records", "done")
    assert first["actor"] == last["actor"]


def test_another_tenants_export_and_another_kind_of_job_are_not_found(
    tenant: Tenant, other_tenant: Tenant, stream: Stream
) -> None:
    job = asked(tenant)
    token = tenant.mint()["enrollment_token_id"]
    path = f"/agent-enrollment/tokens/{token}/revoke"
    cascade = tenant.call("POST", path, {"cascade": True}).body["job"]["job_id"]
    work_off(stream)
    answers = [
        other_tenant.call("GET", f"/audit-records/exports/{job}"),
        tenant.call("GET", f"/audit-records/exports/{ids.new('job')}"),
        tenant.call("GET", f"/audit-records/exports/{cascade}"),
        tenant.call("GET", "/audit-records/exports/none"),
    ]
    assert {(answer.status, answer.code) for answer in answers} == {(404, "job_not_found")}


def test_an_export_holds_records_of_its_own_tenant_only(
    tenant: Tenant, other_tenant: Tenant, stream: Stream
) -> None:
    mine, theirs = tenant.mint(), other_tenant.mint()
    job = asked(tenant)
    work_off(stream)
    text = str(lines(export(tenant, job)))
    assert mine["enrollment_token_id"] in text
    assert theirs["enrollment_token_id"] not in text


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-05-28T20:26:40"}, "until"),
        ({"since": "2026-01-01T00:00:00Z"}, "since"),
        ({"since": "2026-05-29T00:00:00Z", "until": "2026-05-28T00:00:00Z"}, "since"),
        ({"resource_type": "agent"}, "resource_id"),
        ({"resource_id": "agt_1"}, "resource_id"),
        ({"resource_id": "x" * 257, "resource_type": "agent"}, "resource_id"),
        ({"order": "newest"}, "order"),
        ({"since": 7}, "since"),
    ],
)
def test_a_range_or_resource_that_is_none_is_refused(
    tenant: Tenant, wrong: dict[str, Any], path: str
) -> None:
    answer = ask(tenant, **wrong)
    assert (answer.status, answer.code) == (400, "validation_failed")
    assert re.search(path, str(answer.body["errors"]))


def test_the_whole_day_and_31_of_them_may_be_asked_for(tenant: Tenant) -> None:
    now = tenant.api.clock.now
    assert ask(tenant, since=rfc3339(now - 31 * DAY)).status == 202
    assert ask(tenant, since=rfc3339(now - 31 * DAY - 1)).status == 400


def test_a_kind_of_job_that_nobody_knows_is_left_to_a_person(
    tenant: Tenant, stream: Stream, letters: Any
) -> None:
    from chalicelib.store.jobs import JobItem

    job = asked(tenant)
    stream.read()
    row = JobItem.get(f"{tenant.organization}#{job}")
    row.update(actions=[JobItem.kind.set("of_a_later_version")])
    work_off(stream)
    assert "of_a_later_version" in str(letters.read())
    assert tenant.call("GET", f"/jobs/{job}").body["status"] == "queued"
