"""`audit verify` against what was written to mislead it, and records older than they are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.evidence.canonical import canonical
from infra.__main__ import main
from infra.audit_verifier import Asked, verify
from tests.unit.infra.exports import DAY_MS, START, Export, three_batches

Verified = Callable[..., tuple[int, list[str]]]


def spelled(lines: list[dict[str, Any]]) -> list[str]:
    return [canonical(line).decode() for line in lines]


@pytest.fixture
def verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verified:
    def run(export: Export, *more: str) -> tuple[int, list[str]]:
        code = main(["audit", *export.write(tmp_path / "export"), *more])
        return code, capsys.readouterr().out.splitlines()

    return run


def test_records_that_outlive_their_batch_are_retired_and_newer_ones_are_not(
    verified: Verified,
) -> None:
    export = Export()
    for minute in (0, 60, 120, 4000):
        export.seal([export.record(minute)], minute)
    del export.batches[0]
    fetched = START + 400 * DAY_MS + 30 * 60_000
    assert "inserted" in verified(export)[1][0]
    asked = Asked(export.key.public_key(), now=fetched)
    report = verify(spelled(export.batches), spelled(export.records), asked)
    assert (report.findings, report.retired, report.verified) == ([], 1, 3)
    del export.batches[0]
    asked = Asked(export.key.public_key(), now=fetched)
    report = verify(spelled(export.batches), spelled(export.records), asked)
    assert [one.name for one in report.findings] == [export.records[1]["id"]]


def test_an_export_that_may_begin_too_late_says_so(verified: Verified) -> None:
    export = three_batches()
    del export.batches[:1], export.records[:3]
    code, said = verified(export)
    assert code == 0
    late = "what batch 1 and those before it sealed would not be missed"
    assert f"not covered by a seal: {late}" in said


def test_a_forged_number_far_ahead_names_no_gap(verified: Verified) -> None:
    export = three_batches()
    export.batches[2]["header"]["number"] = 10**11
    code, said = verified(export)
    assert (code, said[0].split(":")[0]) == (1, "batch 3 was changed")
    assert len(said) == 2


def test_many_batches_that_were_removed_are_one_finding(verified: Verified) -> None:
    export = Export()
    for minute in range(9):
        export.seal([export.record(minute)], minute)
    del export.batches[2:7]
    code, said = verified(export)
    assert (code, said[0]) == (1, "batch 3..7 was removed: batch 8 follows after a gap")


@pytest.mark.parametrize("line", ["[" * 200_000, '{"header": {"number": 1e400}}'])
def test_a_batch_that_no_reader_takes_is_a_finding(line: str) -> None:
    export = three_batches()
    asked = Asked(export.key.public_key(), now=START)
    report = verify([*spelled(export.batches), line], spelled(export.records), asked)
    assert [(one.name, one.problem) for one in report.findings] == [("4", "changed")]


@pytest.mark.parametrize(
    "change",
    [
        lambda line: '{"detail":{"agent_id":"agt_other"},' + line[1:],
        lambda line: line[:-1] + ',"detail":{"agent_id":"agt_1","previous":"offline"}}',
        lambda line: line.replace(":", ": ", 1),
        lambda line: line[:-1] + ',"n":NaN}',
    ],
)
def test_a_record_in_another_spelling_was_changed(change: Callable[[str], str]) -> None:
    export = three_batches()
    first, *others = spelled(export.records)
    asked = Asked(export.key.public_key(), now=START)
    report = verify(spelled(export.batches), [change(first), *others], asked)
    assert [(one.name, one.problem) for one in report.findings] == [
        (export.records[0]["id"], "changed")
    ]


@pytest.mark.parametrize(
    "line", ["[" * 200_000, '{"id":"x","n":' + "9" * 5000 + "}", '{"id":"\\ud800\\u001b[2J"}']
)
def test_a_record_that_no_reader_takes_is_a_finding_in_plain_letters(line: str) -> None:
    export = three_batches()
    asked = Asked(export.key.public_key(), now=START)
    report = verify(spelled(export.batches), [*spelled(export.records), line], asked)
    (found,) = report.findings
    assert found.problem == "inserted"
    assert str(found).isascii()
    assert str(found).isprintable()


def test_a_folder_without_an_export_is_told(tmp_path: Path) -> None:
    export = three_batches()
    arguments = export.write(tmp_path / "export")
    (tmp_path / "export" / "batches.jsonl").unlink()
    assert main(["audit", *arguments]) == 1
