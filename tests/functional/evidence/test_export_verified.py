"""An export of the API, downloaded and given to `audit verify`: what it confirms and notices."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from chalicelib import workers
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import audit_export_job
from infra.__main__ import main
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.exports import asked, content, export, work_off
from tests.functional.sealed import Evidence, deliver, read
from tests.functional.streams import Stream

HOUR_MS = 3_600_000
HOURS = 5
Verified = Callable[[], tuple[int, list[str]]]


class Hours:
    """The tenant's records of some hours, two in each, with a batch that seals them."""

    def __init__(self, evidence: Evidence, trail: Stream, stack: dict[str, str]) -> None:
        self.evidence = evidence
        self._trail, self._stack = trail, stack

    def seal(self) -> None:
        """Seal what was written since the last time."""
        deliver(read(self._trail, self._stack))

    def append(self, count: int, at: int) -> list[str]:
        """Records of a time; their identifiers."""
        return self.evidence.append(count, at=at)


@pytest.fixture
def hours(
    evidence: Evidence, trail: Stream, tenant: Tenant, clock: FrozenClock, stack: dict[str, str]
) -> Hours:
    evidence.organization = tenant.organization
    lived = Hours(evidence, trail, stack)
    for _ in range(HOURS):
        lived.append(2, clock.now)
        lived.seal()
        clock.advance(hours=1)
    return lived


@pytest.fixture
def jobs(stack: dict[str, str], hours: Hours) -> Stream:
    assert hours
    return Stream(stack["JobsStreamArn"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def verified(
    hours: Hours, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Verified:
    """The verdict on what was downloaded."""
    key = tmp_path / "key.pem"
    key.write_bytes(
        hours.evidence.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )

    def verify() -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main(["audit", "verify", "--export", str(folder), "--public-key", str(key)])
        return code, capsys.readouterr().out.splitlines()

    return verify


def download(tenant: Tenant, job: str, folder: Path) -> dict[str, Any]:
    """Write an export's files into a folder; its manifest."""
    shown = export(tenant, job)
    assert shown["status"] == "done", shown
    folder.mkdir()
    for file in [*shown["files"], shown["manifest"]]:
        (folder / file["name"]).write_bytes(content(file["url"]))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert isinstance(manifest, dict)
    return manifest


def test_an_export_is_verified_and_says_where_the_chain_came_to(
    hours: Hours, tenant: Tenant, jobs: Stream, clock: FrozenClock, folder: Path, verified: Verified
) -> None:
    job = asked(tenant)
    work_off(jobs)
    manifest = download(tenant, job, folder)
    last = hours.evidence.batch(HOURS)
    assert manifest["head"] == {"number": HOURS, "digest": last.header.digest().hex()}
    assert manifest["fetched_at"] == rfc3339(clock.now)
    code, said = verified()
    assert code == 0, said
    assert f"of {tenant.organization} in batches 1..{HOURS}" in said[0]
    assert not any("must end" in line for line in said)


def test_a_tail_that_is_cut_off_is_noticed(
    hours: Hours, tenant: Tenant, jobs: Stream, folder: Path, verified: Verified
) -> None:
    job = asked(tenant)
    work_off(jobs)
    download(tenant, job, folder)
    (batches,) = folder.glob("batches-*.jsonl")
    (records,) = folder.glob("records-*.jsonl")
    sealed = {leaf.id for leaf in hours.evidence.batch(HOURS).leaves}
    batches.write_text("".join(batches.read_text().splitlines(keepends=True)[:-1]))
    kept = [
        line
        for line in records.read_text().splitlines(keepends=True)
        if json.loads(line)["id"] not in sealed
    ]
    records.write_text("".join(kept))
    code, said = verified()
    assert code == 1
    assert said[0] == f"batch {HOURS} was removed: the chain came to batch {HOURS}"


@pytest.mark.parametrize("steps", [1, 4])
def test_what_is_written_and_sealed_while_the_export_is_made_was_not_removed(
    hours: Hours, tenant: Tenant, jobs: Stream, clock: FrozenClock, folder: Path,
    verified: Verified, monkeypatch: pytest.MonkeyPatch, steps: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(audit_export_job, "MOST_RECORDS_A_FILE", 3)
    job = asked(tenant)
    for _ in range(steps):  # After four, all records are in the files.
        (record,) = jobs.read()
        workers.run_jobs([record], None)
    hours.append(1, clock.now - 1)  # Its time is within the range.
    hours.seal()
    assert hours.evidence.numbers()[-1] == HOURS + 1
    work_off(jobs)
    manifest = download(tenant, job, folder)
    assert manifest["head"]["number"] == HOURS
    code, said = verified()
    assert code == 0, said


@pytest.mark.parametrize("steps", [False, True])
def test_a_range_that_ended_before_is_verified_up_to_its_last_batch(
    hours: Hours, tenant: Tenant, jobs: Stream, clock: FrozenClock, folder: Path,
    verified: Verified, monkeypatch: pytest.MonkeyPatch, *, steps: bool,
) -> None:  # fmt: skip
    if steps:
        monkeypatch.setattr("chalicelib.flows.sealed_range.MOST_A_FILE", 1)
    since = clock.now - HOURS * HOUR_MS
    for _ in range(3):
        clock.advance(hours=15)
        hours.append(1, clock.now)
        hours.seal()
    job = asked(tenant, since=rfc3339(since), until=rfc3339(since + HOUR_MS + 10))
    work_off(jobs)
    manifest = download(tenant, job, folder)
    # A day more, as a record may arrive late, and the batch that ended the search.
    ends = HOURS + 2
    last = hours.evidence.batch(ends)
    assert manifest["head"] == {"number": ends, "digest": last.header.digest().hex()}
    assert verified()[0] == 0
    *_, tail = sorted(folder.glob("batches-*.jsonl"))
    tail.write_text("".join(tail.read_text().splitlines(keepends=True)[:-1]))
    code, said = verified()
    assert (code, said[0]) == (
        1, f"batch {ends} was removed: the chain came to batch {ends}",
    )  # fmt: skip


def test_a_range_after_the_last_batch_has_that_batch_and_no_finding(
    hours: Hours, tenant: Tenant, jobs: Stream, clock: FrozenClock, folder: Path, verified: Verified
) -> None:
    clock.advance(hours=3)
    hours.append(1, clock.now - 1)
    job = asked(tenant, since=rfc3339(clock.now - HOUR_MS))
    work_off(jobs)
    assert download(tenant, job, folder)["head"]["number"] == HOURS
    code, said = verified()
    assert code == 0, said
    assert said[0].endswith(f"in batches {HOURS}..{HOURS}")
