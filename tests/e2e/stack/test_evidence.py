"""Law 6 against an intruder: sealed evidence on the deployed stage, tampered with and verified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.deploy import ROOT
from infra.event_tap import EventTap
from infra.local_stack import LocalStack
from infra.stream_mappings import OLDEST_SECONDS
from tests.e2e.stack.calls import Calls, until


def infra(stack: LocalStack, *arguments: str, offline: bool = False) -> tuple[int, str]:
    """Run a command as an operator does, or as an auditor, who has no account."""
    environ = stack.target.child_environ()
    if offline:
        environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "infra", "audit", *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def heads(stack: LocalStack) -> int:
    row = stack.target.client("dynamodb").get_item(
        TableName=f"{stack.outputs['TablePrefix']}organizations",
        Key={"organization": {"S": stack.organization}, "item": {"S": "seal"}},
        ConsistentRead=True,
    )
    return int(row["Item"]["sealed"]["N"]) if "Item" in row else 0


def rows_of(stack: LocalStack, token: str) -> list[dict[str, Any]]:
    found = stack.target.client("dynamodb").query(
        TableName=f"{stack.outputs['TablePrefix']}audit_records",
        IndexName="by_resource",
        KeyConditionExpression="resource_key = :key",
        ExpressionAttributeValues={":key": {"S": f"{stack.organization}#enrollment_token#{token}"}},
    )["Items"]
    return list(found)


def test_what_an_intruder_does_to_the_table_is_told_and_found(
    stack: LocalStack, calls: Calls, tap: EventTap, tmp_path: Path
) -> None:
    before = heads(stack)
    changed, removed = calls.mint(), calls.mint()
    until(lambda: heads(stack) > before, "new records are sealed")
    stack.cloud.wait_idle()
    key = tmp_path / "key.pem"
    assert infra(stack, "key", "--stage", stack.target.stage, "--output", str(key))[0] == 0
    asked = ("--stage", stack.target.stage, "--organization", stack.organization, "--since", "1h")

    code, said = infra(stack, "fetch", *asked, "--output", str(tmp_path / "before"))
    assert code == 0, said
    verify = ("--public-key", str(key), "--export")
    code, said = infra(stack, "verify", *verify, str(tmp_path / "before"), offline=True)
    assert code == 0, said
    assert said.startswith("OK: ")

    database = stack.target.client("dynamodb")
    table = f"{stack.outputs['TablePrefix']}audit_records"
    (one,) = rows_of(stack, changed.id)
    (other,) = rows_of(stack, removed.id)
    keys = [{name: row[name] for name in ("pk", "sort")} for row in (one, other)]
    database.update_item(
        TableName=table,
        Key=keys[0],
        UpdateExpression="SET actor_id = :other",
        ExpressionAttributeValues={":other": {"S": "key_somebody_else"}},
    )
    database.delete_item(TableName=table, Key=keys[1])

    wanted = {one["id"]["S"]: "modified", other["id"]["S"]: "removed"}
    until(
        lambda: (
            wanted
            == {
                event["detail"]["detail"]["target_id"]: event["detail"]["detail"]["change"]
                for event in tap.events()
                if event["detail-type"] == "audit.tampered"
                and event["detail"]["detail"]["target_id"] in wanted
            }
        ),
        "both are told of as events",
    )
    records = calls.operator("GET", "/audit-records?limit=100").json()["audit_records"]
    told = [each for each in records if each["event"] == "audit.tampered"]
    assert wanted.keys() <= {each["resource"]["id"] for each in told}

    code, said = infra(stack, "fetch", *asked, "--output", str(tmp_path / "after"))
    assert code == 0, said
    code, said = infra(stack, "verify", *verify, str(tmp_path / "after"), offline=True)
    assert code == 1
    assert f"record {one['id']['S']} was changed" in said
    assert f"record {other['id']['S']} was removed" in said

    # Put back as it was, it is as it was sealed; the intrusion stays in evidence.
    database.put_item(TableName=table, Item=one)
    database.put_item(TableName=table, Item=other)
    stack.cloud.wait_idle()
    code, said = infra(stack, "fetch", *asked, "--output", str(tmp_path / "healed"))
    code, said = infra(stack, "verify", *verify, str(tmp_path / "healed"), offline=True)
    assert code == 0, said


def test_a_batch_that_was_replaced_in_an_export_is_found(
    stack: LocalStack, calls: Calls, tmp_path: Path
) -> None:
    before = heads(stack)
    calls.mint()
    until(lambda: heads(stack) > before, "new records are sealed")
    stack.cloud.wait_idle()
    key, folder = tmp_path / "key.pem", tmp_path / "export"
    assert infra(stack, "key", "--stage", stack.target.stage, "--output", str(key))[0] == 0
    code, said = infra(
        stack, "fetch", "--stage", stack.target.stage, "--organization", stack.organization,
        "--since", "1h", "--output", str(folder),
    )  # fmt: skip
    assert code == 0, said
    file = folder / "batches.jsonl"
    lines = file.read_text().splitlines()
    batch = json.loads(lines[-1])
    batch["header"]["sealed_at"] = "2020-01-01T00:00:00.000Z"
    file.write_text("\n".join([*lines[:-1], json.dumps(batch)]) + "\n")
    code, said = infra(
        stack, "verify", "--export", str(folder), "--public-key", str(key), offline=True
    )
    assert code == 1
    assert said.startswith(f"batch {batch['header']['number']} was changed: the signature")


def test_both_functions_of_the_audit_stream_wait_out_an_outage(stack: LocalStack) -> None:
    client = stack.target.client("lambda")
    found = client.list_event_source_mappings(
        EventSourceArn=stack.outputs["AuditRecordsStreamArn"]
    )["EventSourceMappings"]
    ages = {
        mapping["FunctionArn"].rsplit("-", 1)[1]: mapping["MaximumRecordAgeInSeconds"]
        for mapping in found
    }
    assert ages == {name: OLDEST_SECONDS[name] for name in ("publish_events", "seal_evidence")}
