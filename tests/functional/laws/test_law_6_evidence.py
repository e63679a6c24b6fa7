"""Law 6: no evidence, no effect; and no secret in the evidence or the logs."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chalicelib import workers
from chalicelib.errors import Contention
from chalicelib.evidence.envelope import rfc3339, schemas
from chalicelib.store import sweep_watermark
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.jobs import JobItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import beats, faults
from tests.functional.laws.faults import injected
from tests.functional.laws.log_lines import captured
from tests.functional.laws.request_counter import Requests, counted
from tests.functional.laws.signing_requests import csr_of
from tests.functional.laws.stories import ARTIFACT, TABLES, idempotency_key, rows_of, set_presence

_P = AgentPresenceItem
Change = Callable[[], Any]
Story = Callable[[Tenant, FrozenClock], Change]


def mint(tenant: Tenant, _: FrozenClock) -> Change:
    return tenant.mint


def mint_with_key(tenant: Tenant, _: FrozenClock) -> Change:
    body = {"environment": tenant.environment}
    headers = {"Idempotency-Key": idempotency_key()}
    return lambda: tenant.call("POST", "/agent-enrollment/tokens", body, headers=headers)


def exchange(tenant: Tenant, _: FrozenClock) -> Change:
    token = tenant.mint()
    return lambda: tenant.exchange(token["token"], csr=csr_of(), idempotency_key=idempotency_key())


def replay(tenant: Tenant, _: FrozenClock) -> Change:
    token, key = tenant.mint(), idempotency_key()
    tenant.exchange(token["token"], idempotency_key=key)
    return lambda: tenant.exchange(token["token"], idempotency_key=key)


def _token_revoke(tenant: Tenant, **asked: Any) -> Change:
    token = tenant.mint()
    path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}/revoke"
    return lambda: tenant.call("POST", path, asked)


def token_revoke(tenant: Tenant, _: FrozenClock) -> Change:
    return _token_revoke(tenant)


def token_revoke_with_cascade(tenant: Tenant, _: FrozenClock) -> Change:
    return _token_revoke(tenant, cascade=True)


def agent_revoke(tenant: Tenant, _: FrozenClock) -> Change:
    path = f"/agents/{tenant.enroll().agent_id}/revoke"
    return lambda: tenant.call("POST", path)


def agent_update(tenant: Tenant, _: FrozenClock) -> Change:
    path = f"/agents/{tenant.enroll().agent_id}"
    return lambda: tenant.call("PATCH", path, {"name": "other", "labels": {"tier": "1"}})


def first_beat(tenant: Tenant, _: FrozenClock) -> Change:
    return tenant.enroll().beat


def _heard(tenant: Tenant, clock: FrozenClock) -> Host:
    host = tenant.enroll()
    host.beat()
    clock.advance(seconds=60)
    return host


def restart(tenant: Tenant, clock: FrozenClock) -> Change:
    return beats.restarted(tenant, _heard(tenant, clock), clock)


def back_online(tenant: Tenant, clock: FrozenClock) -> Change:
    return beats.back_online(tenant, _heard(tenant, clock), clock)


def announce(tenant: Tenant, clock: FrozenClock) -> Change:
    host = _heard(tenant, clock)
    return lambda: host.call("POST", "/artifacts", ARTIFACT)


def export(tenant: Tenant, clock: FrozenClock) -> Change:
    wanted = {"since": rfc3339(clock.now - 1000), "until": rfc3339(clock.now)}
    return lambda: tenant.call("POST", "/audit-records/export", wanted)


def job_end(tenant: Tenant, clock: FrozenClock) -> Change:
    answer = token_revoke_with_cascade(tenant, clock)()
    row = JobItem.get(f"{tenant.organization}#{answer.body['job']['job_id']}")
    record = {"eventName": "INSERT", "dynamodb": {"NewImage": row.serialize()}}
    return lambda: workers.run_jobs([record], None)


# Each change of state, its events, and what it asks DynamoDB to write.
CHANGES: list[tuple[Story, list[str]]] = [
    (mint, ["agent.enrollment_token.issued"]),
    (mint_with_key, ["agent.enrollment_token.issued"]),
    (exchange, ["agent.enrolled"]),
    (replay, ["agent.enrollment.replayed"]),
    (token_revoke, ["agent.enrollment_token.revoked"]),
    (token_revoke_with_cascade, ["agent.enrollment_token.revoked", "job.started"]),
    (agent_revoke, ["agent.revoked"]),
    (agent_update, ["agent.updated"]),
    (first_beat, ["agent.online"]),
    (restart, ["agent.restarted"]),
    (back_online, ["agent.online"]),
    (announce, ["artifact.requested"]),
    (export, ["audit.export_requested"]),
    (job_end, ["job.finished"]),
]


def assert_in_one_transaction(requests: Requests, events: list[str]) -> None:
    (sent,) = requests.transactions
    puts = sent.put_in("audit_records")
    assert sorted(put["Item"]["event"]["S"] for put in puts) == events
    for put in puts:
        names = put["ExpressionAttributeNames"]
        condition = put["ConditionExpression"].replace(" ", "")
        assert [condition.replace(short, name) for short, name in names.items()] == [
            "attribute_not_exists(pk)"
        ]
    # Besides the transaction nothing writes: but a beat asks first whether it is a steady one.
    assert set(requests.writes) - {"UpdateItem"} == {"TransactWriteItems"}


@pytest.mark.parametrize(("story", "events"), CHANGES, ids=[row[0].__name__ for row in CHANGES])
def test_each_change_has_its_evidence_in_its_own_transaction(
    tenant: Tenant, clock: FrozenClock, story: Story, events: list[str]
) -> None:
    change = story(tenant, clock)
    with counted() as requests:
        change()
    assert_in_one_transaction(requests, events)


@pytest.mark.parametrize(("story", "events"), CHANGES, ids=[row[0].__name__ for row in CHANGES])
def test_without_the_evidence_there_is_no_change(
    tenant: Tenant, clock: FrozenClock, story: Story, events: list[str]
) -> None:
    assert events
    change = story(tenant, clock)
    # When a key was last used is no change of state: it is told here, before we look.
    assert tenant.call("GET", "/agents?limit=1").status == 200
    before = {table: rows_of(tenant, table) for table in TABLES}

    def full(body: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"Code": "ThrottlingError" if "audit_records" in str(part) else "None"}
            for part in body["TransactItems"]
        ]

    audit_is_full = faults.Fault("audit_is_full", answer=faults.cancelled(full))
    with injected(audit_is_full, on="TransactWriteItems", times=faults.ALWAYS):
        try:
            outcome = change()
        except (AssertionError, Contention) as error:  # `mint` asserts, and a worker raises
            outcome = error
    if isinstance(outcome, Answer):
        assert (outcome.status, outcome.code) == (503, "contention")
    assert {table: rows_of(tenant, table) for table in TABLES} == before


def test_the_sweeps_change_has_its_evidence_in_its_own_transaction(
    tenant: Tenant, clock: FrozenClock
) -> None:
    host = tenant.enroll()
    host.beat()
    sweep_watermark.advance(clock.now // 1000 - clock.now // 1000 % 300)
    clock.advance(seconds=900)
    with counted() as requests:
        workers.sweep(None)
    (sent,) = requests.transactions
    assert sorted(sent.parts) == [("Put", "audit_records"), ("Update", "agent_presence")]


def test_a_record_cannot_be_overwritten(tenant: Tenant) -> None:
    """The emulator's own check of the condition, with a record's key taken before."""
    tenant.mint()
    (row,) = [row for row in rows_of(tenant, "audit_records") if "token.issued" in str(row)]
    from chalicelib.store.audit_records import AuditRecordItem
    from chalicelib.store.transaction import Transaction

    transaction = Transaction()
    again = AuditRecordItem.from_raw_data(row)
    transaction.put("audit", again, AuditRecordItem.pk.does_not_exist())
    cancelled = transaction.write()
    assert cancelled is not None
    assert "audit" in cancelled.refused


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[io.StringIO]:
    """All that is logged: the app's own lines with all their fields, and the libraries'."""
    caplog.set_level(logging.INFO)
    with captured() as stream:
        yield stream


def test_no_secret_is_in_evidence_or_logs(
    tenant: Tenant,
    clock: FrozenClock,
    logs: io.StringIO,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    secrets = whole_story(tenant, clock)
    rows = rows_of(tenant, "audit_records")
    assert len({row["event"]["S"] for row in rows}) >= 10
    assert {row["event"]["S"] for row in rows} <= set(schemas())
    printed = capfd.readouterr()
    texts = {
        "evidence": json.dumps(rows),
        "logs": logs.getvalue() + caplog.text,
        "output": printed.out + printed.err,
    }
    assert "refused" in texts["logs"]
    for name, secret in secrets.items():
        for place, text in texts.items():
            assert secret not in text, f"{name} in {place}"


def whole_story(tenant: Tenant, clock: FrozenClock) -> dict[str, str]:
    """Everything that happens to a host, good and bad; returns what nobody may see."""
    key, machine, csr = idempotency_key(), "machine-canary-7d1f", csr_of()
    token = tenant.mint(max_uses=2)
    facts = {"csr": csr, "machine_id": machine}
    first = tenant.exchange(token["token"], idempotency_key=key, **facts)
    again = tenant.exchange(token["token"], idempotency_key=key, **facts)
    host = Host(tenant.api, again.body["agent_id"], again.body["runtime_key"], again.body)
    lost = Host(tenant.api, host.agent_id, first.body["runtime_key"], {})
    secrets = {
        "operator key": tenant.key,
        "enrollment token": token["token"],
        "idempotency key": key,
        "first runtime key": first.body["runtime_key"],
        "runtime key": again.body["runtime_key"],
        "machine id": machine,
        "csr": csr.splitlines()[2],
        "pem": "CERTIFICATE REQUEST",
    }
    lost.beat()
    host.beat(nonce="nonce-of-one-beat-0123")
    host.beat()
    host.call("POST", "/artifacts", ARTIFACT)
    tenant.exchange(token["token"], idempotency_key=key, **facts)
    tenant.exchange(token["token"], csr="-----BEGIN CERTIFICATE REQUEST-----", machine_id=machine)
    tenant.exchange(token["token"], machine_id=machine, name=again.body["name"])
    tenant.call("PATCH", f"/agents/{host.agent_id}", {"labels": {"a": "b"}})
    with injected(faults.DENIED, times=faults.ALWAYS):
        tenant.exchange(token["token"], idempotency_key=key, **facts)
        host.beat()
        tenant.call("GET", "/agents")
    clock.advance(seconds=60)
    set_presence(tenant, host.agent_id, _P.status.set("hibernating"))
    host.beat()
    set_presence(tenant, host.agent_id, _P.status.set("online"))
    tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    host.beat()
    path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}/revoke"
    tenant.call("POST", path, {"cascade": True})
    tenant.exchange(token["token"], idempotency_key=key, **facts)
    return secrets
