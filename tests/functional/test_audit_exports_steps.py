"""How the job writes an export: a file a step, whatever happens in between."""

import hashlib
import json
from typing import Any

import pytest

from chalicelib import runtime, workers
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import audit_export_job, sealed_range
from tests.functional.api import Tenant
from tests.functional.audit_rows import written
from tests.functional.batches import sealed
from tests.functional.clock import FrozenClock
from tests.functional.exports import asked, batches_of, content, export, lines, work_off
from tests.functional.service_faults import UNAVAILABLE, troubled
from tests.functional.streams import Stream
from tests.functional.world import empty_tables


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture
def stream(stack: dict[str, str]) -> Stream:
    return Stream(stack["JobsStreamArn"])


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export_job, "MOST_RECORDS_A_FILE", 10)


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


class Ending:
    """A function's context, whose time is up at the first look."""

    aws_request_id = "the-functions-own"

    def get_remaining_time_in_millis(self) -> int:
        return 1_000


def test_a_step_whose_time_is_up_leaves_the_rest_to_the_next(
    tenant: Tenant, stream: Stream, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export_job, "_AT_ONCE", 4)
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


def test_an_export_beyond_what_a_row_can_list_fails_and_says_why(
    tenant: Tenant, stream: Stream, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export_job, "MOST_RECORDS_A_FILE", 2)
    monkeypatch.setattr(audit_export_job, "MOST_FILES", 3)
    written(tenant, [clock.now - 1000 * number for number in range(9)])
    job = asked(tenant, resource_type="agent", resource_id="agt_1")
    work_off(stream)
    shown = export(tenant, job)
    assert (shown["status"], shown["last_error"]) == ("failed", "export_too_large")
    assert shown["files"] == []


def test_the_batches_that_cover_the_range_are_in_the_export(
    tenant: Tenant, other_tenant: Tenant, stream: Stream, clock: FrozenClock
) -> None:
    sealed(tenant, 8)
    sealed(other_tenant, 1)
    job = asked(tenant, since=rfc3339(clock.now - 2 * 3_600_000))
    work_off(stream)
    shown = export(tenant, job)
    assert shown["status"] == "done"
    # An hour more, and the one before.
    assert batches_of(shown) == [[5, 6, 7, 8]]
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
