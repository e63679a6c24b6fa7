"""What can be done to the files of an export, and what `audit verify` makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chalicelib import ids
from chalicelib.evidence.envelope import rfc3339
from infra.__main__ import main
from tests.unit.infra.exports import DAY_MS, MINUTE_MS, START, Export

# Batches are an hour and a half apart, so that a range may have some before it.
MINUTES = [number * 90 for number in range(6)]
SINCE = START + 160 * MINUTE_MS
UNTIL = START + 500 * MINUTE_MS
MADE = START + 600 * MINUTE_MS
Tampering = Callable[[Export], object]


def sound() -> Export:
    """Twelve records in six batches, and an export of a range that leaves two of each out."""
    export = Export()
    for minute in MINUTES:
        export.seal([export.record(minute) for _ in range(2)], minute)
    number, digest = export.head().split(":")
    export.manifest = {
        "organization": export.organization,
        "since": rfc3339(SINCE),
        "until": rfc3339(UNTIL),
        "fetched_at": rfc3339(MADE),
        "head": {"number": int(number), "digest": digest},
    }
    # The one batch before the range stays: it shows that none was left out.
    del export.records[:4], export.batches[:1]
    return export


def options(export: Export) -> list[str]:
    """What an auditor knows from elsewhere."""
    head = export.manifest["head"]
    return [
        *("--organization", export.organization, "--expect-head"),
        f"{head['number']}:{head['digest']}",
        *("--since", rfc3339(SINCE), "--until", rfc3339(UNTIL)),
    ]


def asserted(export: Export, folder: Path, *more: str) -> int:
    return main(["audit", *export.write(folder), *more])


def cut_front(export: Export) -> None:
    del export.batches[:2], export.records[:2]


def cut_front_leaving_records(export: Export) -> None:
    del export.batches[:2]


def say_of_manifest(**members: object) -> Tampering:
    return lambda export: export.manifest.update(members)


def dated(minute: int) -> Tampering:
    return lambda export: export.record(minute)


def re_dated(export: Export) -> None:
    export.records[3]["time"] = rfc3339(SINCE - DAY_MS)


def behind_until(export: Export) -> None:
    del export.records[-2:]
    export.manifest["until"] = rfc3339(START + 400 * MINUTE_MS)


def before_since(export: Export) -> None:
    del export.records[:2]
    export.manifest["since"] = rfc3339(START + 200 * MINUTE_MS)


def of_one_resource(export: Export) -> None:
    del export.records[2]
    export.manifest["resource_type"] = "agent"


def foreign_batch(export: Export) -> None:
    own, export.organization = export.organization, ids.new(ids.ORGANIZATION)
    export.seal([export.record(540)], 540)
    export.organization = own


def older_head(export: Export) -> None:
    last = export.batches.pop()
    del export.records[-2:]
    export.manifest["head"] = {"number": 5, "digest": last["header"]["previous"]}


def no_head(export: Export) -> None:
    older_head(export)
    del export.manifest["head"]


KNOWN: dict[str, Tampering] = {
    "batches cut off at the front with their records": cut_front,
    "batches cut off at the front without their records": cut_front_leaving_records,
    "a batch cut out of the middle": lambda export: export.batches.pop(2),
    "the last batch cut off": lambda export: export.batches.pop(),
    "all batches gone": lambda export: export.batches.clear(),
    "the first record gone": lambda export: export.records.pop(0),
    "a record in the middle gone": lambda export: export.records.pop(3),
    "the last record gone": lambda export: export.records.pop(),
    "all records gone": lambda export: export.records.clear(),
    "records reversed": lambda export: export.records.reverse(),
    "one record moved to the end": lambda export: export.records.append(export.records.pop(0)),
    "batches reversed": lambda export: export.batches.reverse(),
    "two batches swapped": lambda export: export.batches.insert(1, export.batches.pop(2)),
    "a record doubled": lambda export: export.records.insert(1, export.records[0]),
    "all records doubled": lambda export: export.records.extend(list(export.records)),
    "a batch doubled": lambda export: export.batches.append(export.batches[-1]),
    "an unsealed record doubled": lambda export: export.records.append(export.record(499)),
    "a record dated after the export": dated(900),
    "a record dated after the range": dated(550),
    "a record dated before the range": dated(60),
    "a sealed record dated out of the range": re_dated,
    "a range that ends before its records": say_of_manifest(until=rfc3339(START + 200 * 60_000)),
    "a range that begins after its records": say_of_manifest(since=rfc3339(START + 400 * 60_000)),
    "an export made before its batches": say_of_manifest(fetched_at=rfc3339(START)),
    "a batch of another organization": foreign_batch,
    "the organization's name changed": lambda export: export.manifest.update(
        organization=ids.new(ids.ORGANIZATION)
    ),
}  # fmt: skip
UNKNOWABLE: dict[str, tuple[Tampering, str]] = {
    "records removed behind a moved until": (behind_until, "where it ends"),
    "records removed before a moved since": (before_since, "where the range begins"),
    "an older head with what came after it removed": (older_head, "where the chain ends"),
    "no head, and the end cut off": (no_head, "batches after the last would not be missed"),
    "an export of one resource": (of_one_resource, "whether records are missing"),
    "a record within the grace": (dated(452), "1 records are not sealed yet"),
}


@pytest.mark.parametrize("tampering", KNOWN.values(), ids=KNOWN)
def test_what_can_be_known_is_named(
    tampering: Tampering, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = sound()
    tampering(export)
    assert asserted(export, tmp_path / "export") == 1
    said = capsys.readouterr().out
    assert "OK" not in said
    assert " was " in said or "says that it is of" in said or "no batch" in said


@pytest.mark.parametrize(("tampering", "line"), UNKNOWABLE.values(), ids=UNKNOWABLE)
def test_what_cannot_be_known_is_said_and_is_not_strict(
    tampering: Tampering, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = sound()
    tampering(export)
    assert asserted(export, tmp_path / "export") == 0
    told = [one for one in capsys.readouterr().out.splitlines() if line in one]
    assert [one.split(": ")[0] for one in told] == ["not covered by a seal"]
    assert asserted(export, tmp_path / "export", "--strict") == 1


def test_what_an_auditor_knows_from_elsewhere_makes_it_known(tmp_path: Path) -> None:
    for tampering, _ in UNKNOWABLE.values():
        export = sound()
        known = options(export)
        tampering(export)
        assert asserted(export, tmp_path / "export", "--strict", *known) == 1


def test_a_sound_export_is_strict_with_what_an_auditor_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = sound()
    assert asserted(export, tmp_path / "export", "--strict", *options(export)) == 0
    assert "not covered" not in capsys.readouterr().out


def test_another_organization_than_was_asked_for_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = sound()
    other = ids.new(ids.ORGANIZATION)
    assert asserted(export, tmp_path / "export", "--organization", other) == 1
    assert f"it is of {export.organization}" in capsys.readouterr().out
    export.manifest = {}
    assert asserted(export, tmp_path / "export", "--organization", other) == 1
