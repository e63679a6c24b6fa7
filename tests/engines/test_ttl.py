"""Rows with an end really end: MiniStack removes them, and no decision has waited for it.

The app's clock is moved so that the end of a row, as the engine sees it, is now or in the past.
"""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.store import artifacts, audit_records, enrollment_tokens
from chalicelib.store.audit_records import AuditRecordItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from tests.e2e.stack.calls import until
from tests.engines.expiring_tables import expiring_tables
from tests.functional.api import Answer, Api, Host, Tenant
from tests.functional.audit_rows import written
from tests.functional.clock import FrozenClock
from tests.functional.streams import Stream

MINUTE, HOUR, DAY = 60, 3600, 86_400
KEPT_MS = 30 * DAY * 1000  # a token's row, after the token's end


@pytest.fixture(scope="module", autouse=True)
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with expiring_tables(tmp_path_factory.mktemp("expiring")):
        yield


@pytest.fixture
def clock() -> FrozenClock:
    """Stands at the present, which is the engine's."""
    clock = FrozenClock()
    clock.now = _present()
    return clock


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def tenant(clock: FrozenClock, bus: Bus) -> Iterator[Tenant]:
    """A fresh organization, with a signing secret and a bus that need no service."""
    from chalicelib import runtime
    from chalicelib.credentials.signing import Keyring
    from chalicelib.evidence.publisher import Publisher

    own = runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5)
    keys = f'{{"current": "k1", "k1": "{secrets.token_hex(32)}"}}'
    vars(own)["keyring"] = Keyring(lambda: keys, clock)
    vars(own)["publisher"] = Publisher(bus, "bus", bus, "letters")  # type: ignore[arg-type]
    runtime.use(own)
    with Api(clock) as api:
        yield api.new_tenant()
    runtime.use(None)


@pytest.fixture
def trail(tenant: Tenant) -> Stream:
    """What is written to the audit trail from now on."""
    assert tenant
    return Stream(f"arn:aws:dynamodb:x:1:table/{AuditRecordItem.Meta.table_name}")


class Bus:
    """EventBridge and the dead letters: what was sent there."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.letters: list[str] = []

    def put_events(self, **sent: Any) -> dict[str, Any]:
        self.events += [entry["DetailType"] for entry in sent["Entries"]]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in sent["Entries"]]}

    def send_message(self, **sent: Any) -> None:
        self.letters.append(sent["MessageBody"])


def _present() -> int:
    return int(time.time() * 1000)


def before_its_end(clock: FrozenClock, *, row_ends_in: float) -> None:
    """Go where a token minted for a minute leaves a row that ends soon, or has, on the engine."""
    clock.now = _present() - KEPT_MS - MINUTE * 1000 + int(row_ends_in * 1000)


def row_of(tenant: Tenant, token: dict[str, Any]) -> Any:
    return enrollment_tokens.find(tenant.organization, token["enrollment_token_id"])


def removed(tenant: Tenant, token: dict[str, Any]) -> None:
    """Wait until the engine has removed the token's row."""
    until(lambda: row_of(tenant, token) is None, "the row is removed")


def the_engine_looks() -> None:
    """Wait until the engine has looked at every row: it has removed one that had to go."""
    place = f"probe#{secrets.token_hex(8)}"
    over = datetime.timedelta(seconds=-HOUR)
    EnrollmentTokenItem(place, token="probe", created_at=0, ttl=over).save()
    until(lambda: EnrollmentTokenItem.read(place) is None, "the probe is removed")


def told(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.code


def test_an_expired_token_is_gone_as_long_as_its_row_is_kept_and_unknown_afterwards(
    tenant: Tenant, clock: FrozenClock
) -> None:
    before_its_end(clock, row_ends_in=8)
    token = tenant.mint(ttl_seconds=MINUTE)
    ends = row_of(tenant, token).ttl.timestamp()
    clock.advance(seconds=MINUTE)
    assert told(tenant.exchange(token["token"])) == (410, "token_expired")
    the_engine_looks()
    assert told(tenant.exchange(token["token"])) == (410, "token_expired")
    removed(tenant, token)
    assert time.time() >= ends
    assert told(tenant.exchange(token["token"])) == (401, "credential_invalid")
    shown = tenant.call("GET", f"/agent-enrollment/tokens/{token['enrollment_token_id']}")
    assert shown.status == 404


def test_a_token_is_refused_at_its_end_although_its_row_is_there(
    tenant: Tenant, clock: FrozenClock
) -> None:
    before_its_end(clock, row_ends_in=HOUR)
    token, key = tenant.mint(ttl_seconds=MINUTE), secrets.token_urlsafe(32)
    clock.advance(seconds=MINUTE)
    the_engine_looks()
    refused = tenant.exchange(token["token"], idempotency_key=key)
    assert told(refused) == (410, "token_expired")
    assert tenant.call("GET", "/agents").body["agents"] == []


def test_an_agent_outlives_the_row_of_its_token(tenant: Tenant, clock: FrozenClock) -> None:
    before_its_end(clock, row_ends_in=2)
    token, key = tenant.mint(ttl_seconds=MINUTE), secrets.token_urlsafe(32)
    answer = tenant.exchange(token["token"], idempotency_key=key)
    assert answer.status == 201, answer.body
    host = Host(tenant.api, answer.body["agent_id"], answer.body["runtime_key"], answer.body)
    removed(tenant, token)
    assert host.beat().status == 200
    # Not even the right idempotency key gets a key of the agent from a token that nobody knows.
    again = tenant.exchange(token["token"], idempotency_key=key)
    assert told(again) == (401, "credential_invalid")
    clock.advance(seconds=MINUTE)
    assert host.beat().status == 200
    assert tenant.call("POST", f"/agents/{host.agent_id}/revoke").status == 200
    clock.advance(seconds=MINUTE)
    assert told(host.beat()) == (401, "key_revoked")


@pytest.mark.parametrize("removed_before", [False, True])
def test_an_upload_that_never_came_may_be_announced_again(
    tenant: Tenant, clock: FrozenClock, *, removed_before: bool
) -> None:
    host = tenant.enroll()
    assert host.beat().status == 200
    wish = {
        "kind": "incident_bundle",
        "filename": "bundle.tar.gz",
        "size": 3,
        "sha256": secrets.token_hex(32),
        "content_type": "application/gzip",
    }
    if removed_before:
        clock.now -= 3 * DAY * 1000
    first = host.call("POST", "/artifacts", wish)
    assert first.status == 201, first.body
    artifact = first.body["artifact_id"]
    if removed_before:
        find = artifacts.find
        until(
            lambda: find(tenant.organization, host.agent_id, artifact) is None, "the row is removed"
        )
        assert host.call("GET", f"/artifacts/{artifact}").status == 404
    clock.advance(days=3)
    if not removed_before:
        assert host.call("GET", f"/artifacts/{artifact}").body["status"] == "expired"
    again = host.call("POST", "/artifacts", wish)
    assert (again.status, again.body["artifact_id"]) == (201, artifact)
    assert host.call("GET", f"/artifacts/{artifact}").body["status"] == "pending"


def test_the_end_of_an_audit_record_publishes_nothing(
    tenant: Tenant, bus: Bus, trail: Stream
) -> None:
    from chalicelib import workers

    tenant.mint()
    (record,) = trail.read()
    assert workers.publish([record]).events == 1
    keys = record["dynamodb"]["Keys"]
    AuditRecordItem(keys["pk"]["S"], keys["sort"]["S"]).delete()
    (ended,) = trail.read()
    assert ended["eventName"] == "REMOVE"
    # So DynamoDB marks what its own expiry removed.
    by_expiry = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    for end in (ended, {**ended, "userIdentity": by_expiry}):
        published = workers.publish([end])
        assert (published.events, published.poison) == (0, 0)
    assert bus.events == ["agent.enrollment_token.issued"]
    assert bus.letters == []


def test_what_the_engine_removes_by_itself_is_no_event_either(
    tenant: Tenant, clock: FrozenClock, bus: Bus, trail: Stream
) -> None:
    from chalicelib import settings, workers

    kept = audit_records.kept(settings.load().evidence_retention_days)
    written(tenant, [clock.now - round(kept.total_seconds() + DAY) * 1000])
    (record,) = trail.read()
    place = [record["dynamodb"]["Keys"][name]["S"] for name in ("pk", "sort")]
    until(lambda: AuditRecordItem.read(*place) is None, "the record is removed")
    # MiniStack leaves no record of it. One that does, as DynamoDB does, must not change this.
    assert workers.publish([record, *trail.read()]).events == 1
    assert bus.events == ["agent.restarted"]
    assert bus.letters == []
