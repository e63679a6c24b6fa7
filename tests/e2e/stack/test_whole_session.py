"""What all tests of this package left: schema-true events, and no secret anywhere.

Its name sorts last, so that it sees the most; alone it makes what it looks at.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

import jsonschema
import pytest

from chalicelib.evidence import envelope
from infra.event_tap import EventTap
from infra.local_stack import LocalStack
from tests.e2e.stack.calls import Calls, Host, until

SHORTEST_SECRET = 22


@pytest.fixture(scope="module")
def csr() -> str:
    """A certificate request as an agent sends it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "canary.example")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def speak(calls: Calls, csr: str, machine_id: str) -> None:
    """Use each kind of secret, rightly and wrongly."""
    token = calls.mint(uses=2)
    key = secrets.token_urlsafe(32)
    first = calls.exchange(token, key=key, csr=csr, machine_id=machine_id).json()
    assert calls.exchange(token, key=key, csr="no PEM").status_code == 400
    again = calls.exchange(token, key=key, csr=csr, machine_id=machine_id).json()
    host = Host(again["agent_id"], again["runtime_key"])
    assert calls.beat(host).status_code == 200
    assert calls.beat(Host(host.id, first["runtime_key"])).status_code == 401
    assert calls.beat(Host("agt_other", host.key)).status_code == 401
    assert calls.beat(Host(host.id, host.key[:-1] + "x")).status_code == 401
    for wrong in (token.secret, host.key, host.key[:-4]):
        refused = calls.send("GET", "/agents", credential=wrong)
        assert refused.status_code == 401
    wrong_path = calls.send("GET", f"/agents/{host.key}", credential=calls.stack.operator_key)
    assert wrong_path.status_code == 404
    in_body = calls.send(
        "POST",
        "/agent-enrollment/exchange",
        {"hostname": "x", "token": token.secret, "surprise": token.secret},
        credential=token.secret,
    )
    assert in_body.status_code == 400
    calls.operator("POST", f"/agents/{host.id}/revoke", {"note": "end"})
    assert calls.beat(host, 2).status_code == 401


def test_every_published_event_is_in_schema_and_its_copies_are_the_same(
    stack: LocalStack, calls: Calls, tap: EventTap, csr: str
) -> None:
    speak(calls, csr, secrets.token_hex(32))
    stack.cloud.wait_idle()
    events = until(tap.events, "there are events")
    schemas = envelope.schemas()
    for event in events:
        assert event["source"] == "rollcall"
        name = event["detail-type"]
        checker = jsonschema.Draft202012Validator(schemas[name])
        assert [error.message for error in checker.iter_errors(event["detail"])] == [], name
        assert event["detail"]["event"] == name
    details: dict[str, Any] = {}
    for event in events:  # other tests of the package let events come again
        known = details.setdefault(event["detail"]["id"], event["detail"])
        assert event["detail"] == known
    assert len({event["detail-type"] for event in events}) >= 5
    assert {event["detail"]["organization"] for event in events} <= organizations(stack)


def organizations(stack: LocalStack) -> set[str]:
    """The stage's own organization, and those that people made in other tests."""
    rows = scan(stack, f"{stack.outputs['TablePrefix']}organizations")
    found = {row["organization"]["S"] for row in rows if row["item"]["S"] == "organization"}
    assert stack.organization in found
    return found


def test_each_event_is_an_audit_record_and_each_audit_record_an_event(
    calls: Calls, tap: EventTap, csr: str
) -> None:
    speak(calls, csr, secrets.token_hex(32))

    # Read once: page after page of all that the package did.
    recorded = {record["id"]: record["event"] for record in audit_trail(calls)}
    # The organization was made before the tap was opened.
    expected = {one for one, event in recorded.items() if event != "organization.bootstrapped"}
    organization = calls.stack.organization

    def published() -> set[str]:
        details = [event["detail"] for event in tap.events()]
        return {detail["id"] for detail in details if detail["organization"] == organization}

    until(lambda: expected <= published(), "every record is published")
    # Agents of earlier tests may fall silent at any moment, so it cannot be one look at both.
    if more := published() - recorded.keys():
        assert more <= {record["id"] for record in audit_trail(calls)}


def audit_trail(calls: Calls) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = calls.read(f"/audit-records?limit=100{cursor}")
        found += page["audit_records"]
        if not page["next_cursor"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_no_secret_is_in_logs_events_or_tables(
    stack: LocalStack, calls: Calls, tap: EventTap, secrets_seen: set[str], csr: str
) -> None:
    machine_id = secrets.token_hex(32)
    speak(calls, csr, machine_id)
    stack.cloud.wait_idle()
    secrets_seen |= {machine_id, csr.splitlines()[1]}
    canaries = {secret for secret in secrets_seen if len(secret) >= SHORTEST_SECRET}
    assert len(canaries) >= 10
    logs = {name: function.logs for name, function in stack.cloud.functions.items()}
    assert all(logs[name] for name in logs if name.endswith(("-dev", "publish_events")))
    places = {
        **logs,
        "events": json.dumps(tap.events()),
        "audit trail": json.dumps(audit_trail(calls)),
        "tables": json.dumps(everything_stored(stack), default=repr),
    }
    for place, text in places.items():
        found = [secret[:8] for secret in canaries if secret in text]
        assert not found, f"{place} holds secrets that begin with {found}"
    assert "Traceback" not in logs["rollcall-dev"], logs["rollcall-dev"][-3000:]


def everything_stored(stack: LocalStack) -> list[dict[str, Any]]:
    tables = stack.target.client("dynamodb").list_tables()["TableNames"]
    return [item for table in tables for item in scan(stack, table)]


def scan(stack: LocalStack, table: str) -> list[dict[str, Any]]:
    pages = stack.target.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"]]
