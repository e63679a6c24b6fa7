from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.cli.fakes import AGENT, Machine, listed, ok, streamed

RECORDS = "GET /audit-records"
JOB = "job_" + "1" * 20
EXPORT = f"GET /audit-records/exports/{JOB}"


def record(number: int, at: str = "2027-01-15T08:00:00.000Z") -> dict[str, Any]:
    return {"id": f"aud_{number}", "time": at, "event": "agent.enrolled", "actor": {}}


def test_a_length_of_time_is_counted_from_now_and_an_id_says_what_it_is(machine: Machine) -> None:
    machine.plane.on(RECORDS, listed("audit_records", record(1)))
    assert machine.run("audit", "--since", "1h", "--resource", AGENT, "--oldest").code == 0
    params = dict(machine.plane.requests[0].url.params)
    assert params == {
        "since": "2027-01-15T07:00:00.000Z",
        "resource_type": "agent",
        "resource_id": AGENT,
        "order": "oldest",
        "limit": "100",
    }


@pytest.mark.parametrize("since", ["yesterday", "2026-01-01T00:00:00", "1y"])
def test_a_time_that_is_not_clear_is_refused(machine: Machine, since: str) -> None:
    assert machine.run("audit", "--since", since).code == 2


def test_following_shows_each_record_once_however_late_it_comes(machine: Machine) -> None:
    quiet = [listed("audit_records")] * 40
    replies: list[object] = [
        listed("audit_records", record(1), record(2)),
        listed("audit_records", record(1), record(3), record(2)),
        *quiet,
        listed("audit_records", record(4)),
        KeyboardInterrupt(),
    ]
    machine.plane.on(RECORDS, *replies)
    ran = machine.run("audit", "--follow", "--since", "1h", "--json")
    assert ran.code == 130
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == [
        *("aud_1", "aud_2", "aud_3", "aud_4"),
    ]
    begins = [request.url.params["since"] for request in machine.plane.asked(RECORDS)]
    assert begins == sorted(begins)
    assert begins[0] == "2027-01-15T07:00:00.000Z"
    assert begins[1] == "2027-01-15T07:58:30.000Z"


def exported(content: list[bytes], digests: list[bytes] | None = None) -> dict[str, Any]:
    files = [
        {
            "name": f"{place}.jsonl",
            "records": 1,
            "sha256": hashlib.sha256(wanted).hexdigest(),
            "url": f"https://store.example/prod/api/v1/{place}?signature=presigned",
        }
        for place, wanted in enumerate(digests or content)
    ]
    return {"job_id": JOB, "status": "done", "files": files[:-1], "manifest": files[-1]}


def serve(machine: Machine, content: list[bytes], digests: list[bytes] | None = None) -> None:
    machine.plane.on("POST /audit-records/export", ok({"job": {"job_id": JOB}}, 202))
    running = ok({"job_id": JOB, "status": "running", "files": []})
    machine.plane.on(EXPORT, running, ok(exported(content, digests)))
    for place, part in enumerate(content):
        machine.plane.on(f"GET /{place}", streamed(200, part, {}))


def test_an_export_is_a_private_folder_of_checked_files(machine: Machine, tmp_path: Path) -> None:
    content = [b'{"id":1}\n', b'{"id":2}\n', b"the manifest"]
    serve(machine, content)
    folder = tmp_path / "export"
    ran = machine.run("audit", "--since", "7d", "--export", str(folder), "--json")
    assert ran.code == 0
    assert [(folder / f"{place}.jsonl").read_bytes() for place in range(3)] == content
    modes = {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert (modes, stat.S_IMODE(folder.stat().st_mode)) == ({0o600}, 0o700)
    assert "presigned" not in ran.out + ran.err
    downloads = [r for r in machine.plane.requests if r.url.host == "store.example"]
    assert len(downloads) == 3
    assert not any("authorization" in request.headers for request in downloads)


def test_an_export_that_is_not_what_was_written_leaves_nothing(
    machine: Machine, tmp_path: Path
) -> None:
    serve(machine, [b"whole\n", b"changed\n"], [b"whole\n", b"written\n"])
    folder = tmp_path / "export"
    folder.mkdir()
    ran = machine.run("audit", "--export", str(folder))
    assert (ran.code, list(tmp_path.iterdir()), list(folder.iterdir())) == (5, [folder], [])


def test_an_export_that_breaks_off_leaves_nothing(machine: Machine, tmp_path: Path) -> None:
    serve(machine, [b"one\n", b"two\n"])
    machine.plane.on("GET /1", httpx.ReadError("broke"))
    ran = machine.run("audit", "--export", str(tmp_path / "export"))
    assert (ran.code, list(tmp_path.iterdir())) == (5, [])


def test_an_export_is_not_mixed_with_something_else(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "something").write_text("else")
    assert machine.run("audit", "--export", str(tmp_path)).code == 2
    assert machine.run("audit", "--export", str(tmp_path / "missing" / "export")).code == 2
    assert machine.plane.requests == []


@pytest.mark.parametrize(
    "change",
    [{"url": "http://store.example/0"}, {"name": "../outside"}, {"name": ".bashrc"}],
)
def test_an_export_that_leads_elsewhere_is_refused(
    machine: Machine, tmp_path: Path, change: dict[str, str]
) -> None:
    serve(machine, [b"one\n", b"two\n"])
    export = exported([b"one\n", b"two\n"])
    export["files"][0] |= change
    machine.plane.on(EXPORT, ok(export))
    assert machine.run("audit", "--export", str(tmp_path / "export")).code in {2, 5}
    assert list(tmp_path.iterdir()) == []


def test_addresses_that_grow_old_are_asked_for_again(machine: Machine, tmp_path: Path) -> None:
    serve(machine, [b"one\n", b"two\n"])

    def slow(_: httpx.Request) -> httpx.Response:
        machine.clock.time += 250
        return streamed(200, b"one\n", {})

    machine.plane.on("GET /0", slow)
    assert machine.run("audit", "--export", str(tmp_path / "export")).code == 0
    assert len(machine.plane.asked(EXPORT)) == 3
