"""`audit verify` names what was changed, removed, inserted or swapped, and says nothing else."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.envelope import rfc3339
from infra.__main__ import main
from infra.audit_verifier import Asked, verify
from tests.unit.infra.exports import DAY_MS, START, Export, three_batches

ROOT = Path(__file__).resolve().parents[3]
Verified = Callable[..., tuple[int, list[str]]]


def spelled(lines: list[dict[str, Any]]) -> list[str]:
    return [canonical(line).decode() for line in lines]


@pytest.fixture
def verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verified:
    def run(export: Export, *more: str) -> tuple[int, list[str]]:
        code = main(["audit", *export.write(tmp_path / "export"), *more])
        return code, capsys.readouterr().out.splitlines()

    return run


def test_what_is_as_it_was_sealed_is_confirmed(verified: Verified) -> None:
    export = three_batches()
    first, last = rfc3339(START), rfc3339(START + 2 * 60_000)
    code, said = verified(
        export,
        *("--expect-head", export.head(), "--organization", export.organization),
        *("--since", first, "--until", last),
    )
    assert (code, said) == (
        0,
        [
            f"OK: 9 records of {export.organization} in batches 1..3, from {first} to {last}",
            f"asked for: {first} to {last}",
        ],
    )


def test_a_record_that_was_changed_is_named(verified: Verified) -> None:
    export = three_batches()
    export.records[4]["detail"]["agent_id"] = "agt_2"
    code, said = verified(export)
    assert code == 1
    assert said[0].startswith(f"record {export.records[4]['id']} was changed: ")
    assert len(said) == 2


def test_a_record_that_was_removed_is_named(verified: Verified) -> None:
    export = three_batches()
    gone = export.records.pop(4)
    code, said = verified(export)
    assert code == 1
    assert said[0].startswith(f"record {gone['id']} was removed: ")
    assert len(said) == 2


def test_a_record_that_was_inserted_is_named(verified: Verified) -> None:
    export = three_batches()
    foreign = export.record(1)
    code, said = verified(export, "--grace", "30")
    assert code == 1
    assert said[0].startswith(f"record {foreign['id']} was inserted: ")
    assert len(said) == 2


def test_the_first_of_several_comes_first(verified: Verified) -> None:
    export = three_batches()
    late, early = export.records.pop(7), export.records.pop(1)
    _, said = verified(export)
    assert [line.split()[1] for line in said[:2]] == [early["id"], late["id"]]


@pytest.mark.parametrize("line", ["junk", "[]", '{"id": 7}', '{"id": "x", "time": "never"}'])
def test_a_line_that_is_no_record_was_inserted(
    verified: Verified, tmp_path: Path, line: str
) -> None:
    export = three_batches()
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "records-2.jsonl").write_text(line + "\n")
    code, said = verified(export)
    assert code == 1
    assert "was inserted" in said[0]


def test_a_record_of_the_same_name_in_another_form_was_changed(verified: Verified) -> None:
    export = three_batches()
    export.records.append({**export.records[0], "event": "agent.offline"})
    code, said = verified(export)
    assert code == 1
    assert said[0].startswith(f"record {export.records[0]['id']} was changed")


@pytest.mark.parametrize(
    ("member", "value"),
    [("count", 4), ("sealed_at", "2026-01-01T00:00:00.000Z"), ("last", "x"), ("root", "00" * 32),
     ("organization", "org_other"), ("previous", "00" * 32), ("retain_until", "x")],
)  # fmt: skip
def test_a_batch_whose_header_was_changed_is_named(
    verified: Verified, member: str, value: object
) -> None:
    export = three_batches()
    export.batches[1]["header"][member] = value
    code, said = verified(export)
    assert code == 1
    assert said[0].startswith("batch 2 was changed: ")
    assert not [line for line in said if line.startswith("record")]


def test_a_batch_whose_leaves_were_changed_is_named(verified: Verified) -> None:
    export = three_batches()
    export.batches[1]["leaves"][0][1] -= 1
    code, said = verified(export)
    assert (code, said[0]) == (
        1, "batch 2 was changed: the leaves are not those of the header",
    )  # fmt: skip


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64!"])
def test_a_batch_with_another_signature_was_changed(verified: Verified, signature: str) -> None:
    export = three_batches()
    export.batches[0]["signature"] = signature
    code, said = verified(export)
    assert (code, said[0]) == (1, "batch 1 was changed: the signature is not that of the key")


def test_a_batch_that_cannot_be_read_was_changed(verified: Verified) -> None:
    export = three_batches()
    export.batches[1] = {"header": "gone"}
    code, said = verified(export)
    assert code == 1
    assert said[0].startswith("batch 2 was")


@pytest.mark.parametrize("number", [1, 2])
def test_a_batch_that_was_removed_is_named(verified: Verified, number: int) -> None:
    export = three_batches()
    del export.batches[number - 1]
    code, said = verified(export, "--grace", "0")
    assert code == 1
    if number == 2:
        assert said[0].startswith("batch 2 was removed: ")
    else:
        # Where an export begins is for whoever reads it; its records are not vouched for.
        assert said[0].endswith("was inserted: no batch seals it")


def test_batches_that_were_swapped_are_named(verified: Verified) -> None:
    export = three_batches()
    export.batches[1:] = reversed(export.batches[1:])
    code, said = verified(export)
    assert (code, said[0]) == (1, "batch 2 was swapped: it stands after batch 3")


def test_a_batch_of_the_same_number_was_inserted(verified: Verified) -> None:
    export = three_batches()
    export.batches.insert(2, copy.deepcopy(export.batches[1]))
    code, said = verified(export)
    assert (code, said[0]) == (1, "batch 2 was inserted: there are two batches of this number")


def test_a_batch_of_another_key_beyond_the_head_was_inserted(verified: Verified) -> None:
    export = three_batches()
    head = export.head()
    export.seal([export.record(3)], 3, key=ec.generate_private_key(ec.SECP256R1()))
    code, said = verified(export, "--expect-head", head)
    assert code == 1
    assert said[0].startswith("batch 4 was inserted: ")


def test_a_batch_of_another_organization_was_inserted(verified: Verified) -> None:
    export = three_batches()
    own, export.organization = export.organization, "org_other"
    export.seal([export.record(3)], 3)
    export.organization = own
    code, said = verified(export)
    assert (code, said[0]) == (1, "batch 4 was inserted: it is of org_other")


def test_batches_of_another_chain_under_the_same_key_do_not_follow(verified: Verified) -> None:
    export = three_batches()
    export.previous = bytes(32)
    export.seal([export.record(3)], 3)
    code, said = verified(export)
    assert (code, said[0]) == (1, "batch 4 was changed: it does not name batch 3 as it is")


@pytest.mark.parametrize("known_by", ["option", "manifest"])
def test_a_tail_that_was_cut_off_with_its_records_is_noticed(
    verified: Verified, known_by: str
) -> None:
    export = three_batches()
    head = export.head()
    del export.batches[2:], export.records[6:]
    if known_by == "manifest":
        number, digest = head.split(":")
        export.manifest = {"head": {"number": int(number), "digest": digest}}
        code, said = verified(export)
    else:
        assert verified(export)[0] == 0, "nobody said where it ends"
        code, said = verified(export, "--expect-head", head)
    assert (code, said[0]) == (1, "batch 3 was removed: the chain came to batch 3")


def test_another_chain_of_the_same_length_is_noticed(verified: Verified) -> None:
    export = three_batches()
    code, said = verified(export, "--expect-head", f"3:{'ab' * 32}")
    assert (code, said[0]) == (1, "batch 3 was changed: its digest is not the expected one")


def test_an_older_head_holds_for_a_longer_chain(verified: Verified) -> None:
    export = three_batches()
    head = export.head()
    export.seal([export.record(3)], 3)
    assert verified(export, "--expect-head", head)[0] == 0


def test_records_that_are_newer_than_the_last_batch_wait_for_theirs(verified: Verified) -> None:
    export = three_batches()
    late = export.record(4)
    export.manifest = {"fetched_at": rfc3339(START + DAY_MS)}
    code, said = verified(export, "--grace", "0")
    assert code == 0
    assert said[1].startswith("not covered by a seal: 1 records are not sealed yet")
    # A stream brings a record within a day, or never: an end that was cut off makes nothing new.
    export.manifest = {"fetched_at": rfc3339(START + DAY_MS + 3_600_000 + 5 * 60_000)}
    code, said = verified(export, "--grace", "0")
    assert (code, said[0]) == (1, f"record {late['id']} was inserted: no batch seals it")


def test_records_from_before_the_first_batch_of_all_are_counted(verified: Verified) -> None:
    export = three_batches()
    export.record(-60)
    code, said = verified(export)
    assert code == 0
    assert said[1].startswith("not covered by a seal: 1 records are older than batch 1")


def test_a_record_that_two_batches_seal_alike_is_one_record(verified: Verified) -> None:
    export = three_batches()
    export.seal(export.records[:2], 3)
    assert verified(export)[0] == 0


def test_what_is_missing_after_its_time_is_no_finding(verified: Verified) -> None:
    export = three_batches()
    del export.records[0]
    retained = START + 400 * DAY_MS
    export.manifest = {"fetched_at": rfc3339(retained - 1)}
    assert "was removed" in verified(export)[1][0]
    # The same at a time that the test cannot wait for, through the verifier itself.
    asked = Asked(export.key.public_key(), now=retained)
    report = verify(spelled(export.batches), spelled(export.records), asked)
    assert (report.findings, report.retired, report.verified) == ([], 1, 8)


def test_what_lies_outside_of_the_exports_range_is_not_missed(verified: Verified) -> None:
    export = three_batches()
    del export.records[:3]
    span = {"since": rfc3339(START + 30_000), "until": rfc3339(START + 10 * 60_000)}
    assert verified(export)[0] == 1
    export.manifest = span
    code, said = verified(export)
    assert code == 0
    assert said[1] == f"asked for: {span['since']} to {span['until']}"


def test_an_export_of_one_resource_misses_nothing_and_says_so(verified: Verified) -> None:
    export = three_batches()
    del export.records[1:]
    export.manifest = {"resource_type": "agent", "resource_id": "agt_1"}
    code, said = verified(export)
    assert code == 0
    assert "cannot be told" in said[1]
    export.records[0]["event"] = "agent.offline"
    assert verified(export)[0] == 1


def test_verifying_needs_no_aws(tmp_path: Path) -> None:
    arguments = three_batches().write(tmp_path / "export")
    program = (
        "import sys; from infra.__main__ import main; code = main(sys.argv[1:]);"
        "sys.exit(code or 9 * any(name.startswith(('boto', 'moto')) for name in sys.modules))"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, "audit", *arguments],
        cwd=ROOT, env={"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
