"""`audit fetch`, `key` and `verify` on a stage: what an auditor does, and what an intruder did."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from chalicelib import ids, runtime
from chalicelib.evidence.envelope import rfc3339
from chalicelib.store.evidence_bucket import batch_key
from infra.__main__ import main
from infra.audit_chain import milliseconds
from tests.functional.clock import FrozenClock
from tests.functional.deliveries import invoke, shaped
from tests.functional.sealed import Evidence
from tests.functional.streams import Stream
from tests.functional.world import empty_tables

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
PRESENT = -1
"""Fetch as somebody does who does not say until when."""
Audited = Callable[..., tuple[int, list[str]]]


class Hours:
    """An organization that works for some hours, two records and a batch in each."""

    def __init__(self, evidence: Evidence, clock: FrozenClock, stack: dict[str, str]) -> None:
        trail = Stream(stack["AuditRecordsStreamArn"])
        self.evidence = evidence
        self.start = clock.now
        self.ids: list[list[str]] = []
        for _ in range(6):
            self.ids.append(evidence.append(2, at=clock.now))
            records = shaped(trail.read(), stack["AuditRecordsStreamArn"])
            invoke("seal_evidence", {"Records": records})
            clock.advance(hours=1)


@pytest.fixture
def hours(stack: dict[str, str], clock: FrozenClock) -> Iterator[Hours]:
    empty_tables()
    runtime.use(runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5))
    yield Hours(Evidence(stack, clock.now), clock, stack)
    runtime.use(None)


@pytest.fixture
def audited(hours: Hours, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Audited:
    """Fetch what is there and verify it."""

    def run(
        since: int, until: int | None = None, folder_name: str = "export"
    ) -> tuple[int, list[str]]:
        folder, key = tmp_path / folder_name, tmp_path / "key.pem"
        options = ["--stage", "functional", "--organization", hours.evidence.organization]
        options += ["--since", rfc3339(since), "--output", str(folder)]
        # Days without a record are read as well: up to the present there are more of them each day.
        now = hours.start + DAY_MS if until is None else until
        options += [] if until == PRESENT else ["--until", rfc3339(now)]
        assert main(["audit", "fetch", *options]) == 0
        key.write_bytes(
            hours.evidence.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        capsys.readouterr()
        code = main(["audit", "verify", "--export", str(folder), "--public-key", str(key)])
        return code, capsys.readouterr().out.splitlines()

    return run


def delete_row(name: str, stack: dict[str, str]) -> None:
    database = boto3.client("dynamodb")
    table = f"{stack['TablePrefix']}audit_records"
    (row,) = [one for one in database.scan(TableName=table)["Items"] if one["id"]["S"] == name]
    database.delete_item(TableName=table, Key={"pk": row["pk"], "sort": row["sort"]})


def test_everything_is_fetched_and_verified(hours: Hours, audited: Audited, tmp_path: Path) -> None:
    code, said = audited(hours.start, PRESENT)
    assert (code, said[0].split(", from")[0]) == (
        0, f"OK: 12 records of {hours.evidence.organization} in batches 1..6",
    )  # fmt: skip
    assert not any("must end" in line for line in said)
    file = tmp_path / "fetched.pem"
    assert main(["audit", "key", "--stage", "functional", "--output", str(file)]) == 0
    assert file.read_bytes() == (tmp_path / "key.pem").read_bytes()
    lines = (tmp_path / "export" / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [one for two in hours.ids for one in two]


def test_a_range_is_fetched_with_the_batches_that_seal_it(hours: Hours, audited: Audited) -> None:
    since, until = hours.start + 3 * HOUR_MS, hours.start + 4 * HOUR_MS + 10
    code, said = audited(since, until)
    assert code == 0
    assert said[0].startswith(f"OK: 4 records of {hours.evidence.organization} in batches 2..6")


def test_a_row_that_was_removed_is_named(
    hours: Hours, audited: Audited, stack: dict[str, str]
) -> None:
    name = hours.ids[2][1]
    delete_row(name, stack)
    code, said = audited(hours.start)
    assert (code, said[0].split(":")[0]) == (1, f"record {name} was removed")


def test_a_row_that_was_inserted_behind_the_sealers_back_is_named(
    hours: Hours, audited: Audited
) -> None:
    (name,) = hours.evidence.append(1, at=hours.start + HOUR_MS)
    code, said = audited(hours.start)
    assert (code, said[0]) == (1, f"record {name} was inserted: no batch seals it")


def test_a_row_that_is_no_record_is_named(
    hours: Hours, audited: Audited, stack: dict[str, str]
) -> None:
    name = hours.ids[0][0]
    database = boto3.client("dynamodb")
    table = f"{stack['TablePrefix']}audit_records"
    (row,) = [one for one in database.scan(TableName=table)["Items"] if one["id"]["S"] == name]
    database.put_item(TableName=table, Item={**row, "at": {"S": "never"}})
    code, said = audited(hours.start)
    assert (code, said[0].split(":")[0]) == (1, f"record {name} was changed")


@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_batch_that_was_hidden_or_replaced_is_named(
    hours: Hours, audited: Audited, number: int
) -> None:
    evidence = hours.evidence
    key = batch_key(evidence.organization, number)
    evidence.s3.delete_object(Bucket=evidence.bucket, Key=key)  # leaves the locked version
    code, said = audited(hours.start)
    assert code == 1
    assert said[0].startswith(f"batch {number} was changed: it was hidden")
    assert len(said) == 2, "its records are verified with what was signed"


@pytest.mark.parametrize("body", [b"junk\nof two lines", b'{"header": {"number": 3}}'])
def test_an_object_that_is_no_batch_is_named(hours: Hours, audited: Audited, body: bytes) -> None:
    hours.evidence.put(3, body)
    code, said = audited(hours.start)
    assert code == 1
    assert said[0].startswith("batch 3 was changed: it was hidden, or something else put over it")
    assert len(said) == 2


@pytest.mark.parametrize("number", [1, 4, 6])
@pytest.mark.parametrize("time", ["1970-01-01T00:00:00.000Z", "9999-01-01T00:00:00.000Z"])
def test_a_batch_that_was_overwritten_does_not_hide_what_was_done_after_it(
    hours: Hours, audited: Audited, stack: dict[str, str], number: int, time: str
) -> None:
    body = msgspec.to_builtins(hours.evidence.batch(number))
    body["header"].update(sealed_at=time, first=time)
    hours.evidence.put(number, body)
    gone = [hours.ids[0][0], hours.ids[4][1]]
    for name in gone:
        delete_row(name, stack)
    code, said = audited(hours.start)
    assert (code, [line.split(":")[0] for line in said[:-1]]) == (
        1, [f"batch {number} was changed", *(f"record {name} was removed" for name in gone)],
    )  # fmt: skip


def test_a_batch_of_which_no_version_is_signed_fails_and_hides_no_other(
    hours: Hours, audited: Audited, stack: dict[str, str]
) -> None:
    versions = hours.evidence.s3.list_object_versions(
        Bucket=hours.evidence.bucket, Prefix=batch_key(hours.evidence.organization, 4)
    )["Versions"]
    body = msgspec.to_builtins(hours.evidence.batch(4))
    body["header"]["sealed_at"] = "9999-01-01T00:00:00.000Z"
    hours.evidence.put(4, body)
    for version in versions:
        hours.evidence.s3.delete_object(
            Bucket=hours.evidence.bucket, Key=version["Key"], VersionId=version["VersionId"],
            BypassGovernanceRetention=True,
        )  # fmt: skip
    delete_row(hours.ids[4][1], stack)
    code, said = audited(hours.start)
    assert code == 1
    assert said[0] == "batch 4 was changed: the leaves are not those of the header" or said[
        0
    ].startswith("batch 4 was changed: the signature")
    assert any(line.startswith(f"record {hours.ids[4][1]} was removed") for line in said)


def test_a_batch_that_expired_is_hidden_by_the_buckets_rule_and_no_finding(
    hours: Hours, audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours.evidence.hide(1)
    assert audited(hours.start)[0] == 1
    retained = milliseconds(hours.evidence.batch(2).header.retain_until)
    monkeypatch.setattr("infra.audit._now", lambda: retained)
    code, said = audited(hours.start, hours.start + HOUR_MS, "later")
    assert code == 0, said


def test_an_organization_without_a_batch_is_no_finding_while_its_records_wait(
    hours: Hours, audited: Audited
) -> None:
    hours.evidence.organization = ids.new(ids.ORGANIZATION)
    code, said = audited(hours.start)
    said_of = f"OK: 0 records of {hours.evidence.organization} in no batch"
    assert (code, said[0]) == (0, said_of)


@pytest.mark.parametrize(
    "arguments",
    [
        ["fetch", "--stage", "nowhere", "--organization", ids.new("org"), "--since", "1h"],
        ["key", "--stage", "nowhere"],
    ],
)
def test_a_stage_that_is_not_there_is_told(
    arguments: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", *arguments, "--output", str(tmp_path / "new")]) == 1
    assert "nowhere is not deployed" in capsys.readouterr().out


def test_a_folder_that_holds_something_is_not_mixed_with_an_export(
    hours: Hours, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("x")
    code = main(
        ["audit", "fetch", "--stage", "functional", "--organization", hours.evidence.organization,
         "--since", "1h", "--output", str(tmp_path)]
    )  # fmt: skip
    assert code == 1
    assert "is not empty" in capsys.readouterr().out


def test_a_range_after_the_last_batch_has_that_batch_and_no_finding(
    hours: Hours, audited: Audited, clock: FrozenClock
) -> None:
    clock.advance(hours=3)
    code, said = audited(clock.now - HOUR_MS, clock.now)
    assert (code, said[0]) == (
        0, f"OK: 0 records of {hours.evidence.organization} in batches 6..6",
    )  # fmt: skip
