"""The export of the audit trail: JSON lines, a file a step, by presigned addresses."""

import hashlib
import json
import re
import urllib.parse
from typing import Any

import boto3
import pytest

from chalicelib import ids, runtime, workers
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import audit_export, sealed_range
from tests.functional.api import Answer, Tenant
from tests.functional.audit_rows import written
from tests.functional.batches import sealed
from tests.functional.clock import FrozenClock
from tests.functional.service_faults import UNAVAILABLE, troubled
from tests.functional.streams import Stream
from tests.functional.world import empty_tables

DAY = 86_400_000


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture
def stream(stack: dict[str, str]) -> Stream:
    return Stream(stack["JobsStreamArn"])


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "MOST_RECORDS_A_FILE", 10)


def ask(tenant: Tenant, **more: Any) -> Answer:
    """An export of the last day, or of what is named."""
    now = tenant.api.clock.now
    wanted = {"since": rfc3339(now - DAY), "until": rfc3339(now), **more}
    return tenant.call("POST", "/audit-records/export", wanted)


def asked(tenant: Tenant, **more: Any) -> str:
    answer = ask(tenant, **more)
    assert answer.status == 202, answer.body
    return str(answer.body["job"]["job_id"])


def export(tenant: Tenant, job: str) -> dict[str, Any]:
    """The export as operators see it."""
    answer = tenant.call("GET", f"/audit-records/exports/{job}")
    assert answer.status == 200, answer.body
    assert isinstance(answer.body, dict)
    return answer.body


def work_off(stream: Stream, context: Any = None, *, at_most: int = 200) -> int:
    """Give the function record after record until none is left; how many there were."""
    count = 0
    while records := stream.read():
        for record in records:
            count += 1
            assert count <= at_most, "the job does not end"
            workers.run_jobs([record], context)
    return count


def content(url: str) -> bytes:
    """What an address names, as S3 has it."""
    path = urllib.parse.urlsplit(url).path.lstrip("/")
    bucket = runtime.current().settings.bucket
    key = path.removeprefix(f"{bucket}/")
    body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert isinstance(body, bytes)
    return body


def lines(shown: dict[str, Any]) -> list[bytes]:
    """The lines of all record files, each file being what its entry says."""
    found: list[bytes] = []
    for file in shown["files"]:
        raw = content(file["url"])
        assert (len(raw), hashlib.sha256(raw).hexdigest()) == (file["size"], file["sha256"])
        if file["name"].startswith("records-"):
            assert raw.endswith(b"\n")
            of_file = raw.splitlines()
            assert len(of_file) == file["records"]
            found += of_file
    return found


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


@pytest.mark.usefixtures("small_files")
def test_a_file_holds_so_many_records_and_each_file_is_a_step(
    tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    made = written(tenant, [clock.now - 1000 * number for number in range(35, 0, -1)])
    job = asked(tenant, resource_type="agent", resource_id="agt_1")
    assert work_off(stream) >= 4
    shown = export(tenant, job)
    records = [file for file in shown["files"] if file["name"].startswith("records-")]
    assert [(file["name"], file["records"]) for file in records] == [
        ("records-000001.jsonl", 10),
        ("records-000002.jsonl", 10),
        ("records-000003.jsonl", 10),
        ("records-000004.jsonl", 5),
    ]
    assert [json.loads(line)["id"] for line in lines(shown)] == made
    raw = content(shown["manifest"]["url"])
    assert hashlib.sha256(raw).hexdigest() == shown["manifest"]["sha256"]
    manifest = json.loads(raw)
    assert manifest["organization"] == tenant.organization
    assert (manifest["job_id"], manifest["records"]) == (job, 35)
    assert (manifest["resource_type"], manifest["resource_id"]) == ("agent", "agt_1")
    assert [(f["name"], f["sha256"]) for f in manifest["files"]] == [
        (f["name"], f["sha256"]) for f in shown["files"]
    ]


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("count", [10, 20])
def test_a_last_file_that_is_full_is_followed_by_none_that_is_empty(
    tenant: Tenant, stream: Stream, clock: FrozenClock, count: int
) -> None:
    written(tenant, [clock.now - 1000 * number for number in range(count)])
    job = asked(tenant, resource_type="agent", resource_id="agt_1")
    work_off(stream)
    shown = export(tenant, job)
    assert (shown["status"], shown["processed"]) == ("done", count)
    assert len(lines(shown)) == count
    assert {f["records"] for f in shown["files"] if f["name"].startswith("records")} == {10}


def test_where_nothing_happened_the_export_says_so(tenant: Tenant, stream: Stream) -> None:
    job = asked(tenant, resource_type="agent", resource_id="agt_nobody")
    work_off(stream)
    shown = export(tenant, job)
    assert (shown["status"], shown["processed"], shown["total"]) == ("done", 0, 0)
    assert lines(shown) == []
    assert json.loads(content(shown["manifest"]["url"]))["records"] == 0


class Ending:
    """A function's context, whose time is up at the first look."""

    aws_request_id = "the-functions-own"

    def get_remaining_time_in_millis(self) -> int:
        return 1_000


def test_a_step_whose_time_is_up_leaves_the_rest_to_the_next(
    tenant: Tenant, stream: Stream, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "_AT_ONCE", 4)
    made = written(tenant, [clock.now - 1000 * number for number in range(10, 0, -1)])
    job = asked(tenant, resource_type="agent", resource_id="agt_1")
    work_off(stream, Ending())
    shown = export(tenant, job)
    assert shown["status"] == "done"
    assert [json.loads(line)["id"] for line in lines(shown)] == made
    assert [f["records"] for f in shown["files"] if f["name"].startswith("records")] == [4, 4, 2]


@pytest.mark.usefixtures("small_files")
def test_a_killed_step_writes_its_own_file_again_and_no_other(
    tenant: Tenant, stream: Stream, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = written(tenant, [clock.now - 1000 * number for number in range(25, 0, -1)])
    job = asked(tenant, resource_type="agent", resource_id="agt_1")
    (first,) = stream.read()
    workers.run_jobs([first], None)
    (second,) = stream.read()
    puts: list[str] = []
    original = runtime.current().exports.put

    def killed(organization: str, name_of_job: str, name: str, *more: Any) -> Any:
        puts.append(name)
        original(organization, name_of_job, name, *more)
        raise SystemExit("killed")

    with monkeypatch.context() as patched:
        patched.setattr(runtime.current().exports, "put", killed)
        with pytest.raises(SystemExit):
            workers.run_jobs([second], None)
    assert puts == ["records-000002.jsonl"]
    workers.run_jobs([second], None)
    work_off(stream)
    shown = export(tenant, job)
    assert shown["status"] == "done"
    assert [json.loads(line)["id"] for line in lines(shown)] == made


@pytest.mark.usefixtures("small_files")
def test_a_store_that_does_not_answer_is_an_attempt_and_the_job_goes_on(
    tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    written(tenant, [clock.now - 1000 * number for number in range(15, 0, -1)])
    job = asked(tenant, resource_type="agent", resource_id="agt_1")
    (first,) = stream.read()
    with troubled(runtime.current().exports._client, "PutObject", UNAVAILABLE):
        workers.run_jobs([first], None)
    assert export(tenant, job)["last_error"] == "export_store_unavailable"
    work_off(stream)
    shown = export(tenant, job)
    assert (shown["status"], shown["last_error"], len(lines(shown))) == ("done", None, 15)


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


def test_an_export_beyond_what_a_row_can_list_fails_and_says_why(
    tenant: Tenant, stream: Stream, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "MOST_RECORDS_A_FILE", 2)
    monkeypatch.setattr(audit_export, "MOST_FILES", 3)
    written(tenant, [clock.now - 1000 * number for number in range(9)])
    job = asked(tenant, resource_type="agent", resource_id="agt_1")
    work_off(stream)
    shown = export(tenant, job)
    assert (shown["status"], shown["last_error"]) == ("failed", "export_too_large")
    assert shown["files"] == []


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


def batches_of(shown: dict[str, Any]) -> list[list[int]]:
    """The numbers of the batches in each file of them."""
    return [
        [json.loads(line)["header"]["number"] for line in content(file["url"]).splitlines()]
        for file in shown["files"]
        if file["name"].startswith("batches-")
    ]


def test_the_batches_that_cover_the_range_are_in_the_export(
    tenant: Tenant, other_tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    sealed(tenant, 8)
    sealed(other_tenant, 1)
    job = asked(tenant, since=rfc3339(clock.now - 2 * 3_600_000))
    work_off(stream)
    shown = export(tenant, job)
    assert shown["status"] == "done"
    # An hour more on either side: a record may arrive late.
    assert batches_of(shown) == [[6, 7, 8]]
    names = [file["name"] for file in json.loads(content(shown["manifest"]["url"]))["files"]]
    assert names == ["records-000001.jsonl", "batches-000001.jsonl"]
    (of_batches,) = [file for file in shown["files"] if file["name"].startswith("batches-")]
    assert of_batches["records"] is None


def test_many_batches_are_many_files_and_none_of_them_is_an_attempt(
    tenant: Tenant, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_range, "MOST_A_FILE", 1)
    sealed(tenant, 24)
    job = asked(tenant, resource_type="agent", resource_id="agt_nobody")
    work_off(stream)
    shown = export(tenant, job)
    assert (shown["status"], shown["last_error"]) == ("done", None)
    assert batches_of(shown) == [[number] for number in range(1, 25)]
