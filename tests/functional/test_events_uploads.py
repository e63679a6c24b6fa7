"""S3's notifications: duplicated, reordered, replayed, foreign, and with services down."""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import runtime, workers
from tests.functional import service_faults
from tests.functional.api import Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.deliveries import invoke, notification
from tests.functional.laws import faults
from tests.functional.laws.faults import injected, interleaved
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.service_faults import Trouble, troubled
from tests.functional.world import CONTENT, artifact_wish, empty_tables, put_incoming

_LAMBDA_TRIES = 3


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> Iterator[None]:
    assert stack
    empty_tables()
    with one_at_a_time():
        yield


@pytest.fixture
def host(tenant: Tenant) -> Host:
    enrolled = tenant.enroll()
    assert enrolled.beat().status == 200
    return enrolled


def announced(host: Host, content: bytes = CONTENT) -> str:
    answer = host.call("POST", "/artifacts", artifact_wish(content))
    assert answer.status == 201, answer.body
    return str(answer.body["artifact_id"])


def status(host: Host, artifact: str) -> str:
    return str(host.call("GET", f"/artifacts/{artifact}").body["status"])


def verdicts(tenant: Tenant, artifact: str) -> list[str]:
    """The verdicts on record for an artifact, oldest first."""
    events = [record["event"] for record in tenant.audit("artifact", artifact)]
    return [event for event in events if event != "artifact.requested"]


def kept(tenant: Tenant) -> dict[str, bytes]:
    """What stays of the tenant's objects, by prefix."""
    now = runtime.current()
    s3, bucket = now._client("s3"), now.settings.bucket
    found = {}
    for prefix in ("incoming", "artifacts"):
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{tenant.organization}/")
        for one in listed.get("Contents", []):
            found[one["Key"]] = s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
    return found


def final(tenant: Tenant, host: Host, artifact: str) -> str:
    return f"artifacts/{tenant.organization}/{host.agent_id}/{artifact}"


def deliver(event: dict[str, Any]) -> list[Exception]:
    """As Lambda delivers an asynchronous event: three tries; returns how they failed."""
    failures: list[Exception] = []
    for _ in range(_LAMBDA_TRIES):
        try:
            invoke("verify_upload", event)
        except Exception as error:  # noqa: BLE001 - to Lambda all are alike
            failures.append(error)
        else:
            break
    return failures


def test_notifications_that_come_twice_and_in_any_order_give_one_verdict_each(
    tenant: Tenant, host: Host
) -> None:
    good, bad = announced(host, b"good"), announced(host, b"bad")
    events = [
        notification(put_incoming(tenant, host.agent_id, good, b"good")),
        notification(put_incoming(tenant, host.agent_id, bad, b"not what was said")),
    ]
    for event in (*reversed(events), *events, *events):
        assert deliver(event) == []
    assert verdicts(tenant, good) == ["artifact.stored"]
    assert verdicts(tenant, bad) == ["artifact.rejected"]
    assert kept(tenant) == {final(tenant, host, good): b"good"}


@pytest.mark.parametrize("step", range(1, 4))
def test_two_notifications_at_once_give_one_verdict(tenant: Tenant, host: Host, step: int) -> None:
    artifact = announced(host)
    event = notification(put_incoming(tenant, host.agent_id, artifact, CONTENT))
    with interleaved(lambda: workers.verify_all(event["Records"], None), first=step) as outcome:
        assert deliver(event) == []
    assert outcome
    assert verdicts(tenant, artifact) == ["artifact.stored"]
    assert kept(tenant) == {final(tenant, host, artifact): CONTENT}


def test_a_replay_after_the_artifact_was_removed_brings_nothing_back(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    artifact = announced(host)
    event = notification(put_incoming(tenant, host.agent_id, artifact, CONTENT))
    assert deliver(event) == []
    now = runtime.current()
    now._client("s3").delete_object(Bucket=now.settings.bucket, Key=final(tenant, host, artifact))
    clock.advance(hours=6)
    assert deliver(event) == []
    assert kept(tenant) == {}
    assert verdicts(tenant, artifact) == ["artifact.stored"]


def test_an_old_notification_judges_what_is_there_now(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    artifact = announced(host)
    event = notification(put_incoming(tenant, host.agent_id, artifact, b"wrong"))
    assert deliver(event) == []
    assert announced(host) == artifact, "announced again after it was rejected"
    assert deliver(event) == []
    assert status(host, artifact) == "pending", "there is no object: no verdict"
    clock.advance(hours=1)
    put_incoming(tenant, host.agent_id, artifact, CONTENT)
    for _ in range(2):
        assert deliver(event) == []
    assert verdicts(tenant, artifact) == ["artifact.rejected", "artifact.stored"]
    assert kept(tenant) == {final(tenant, host, artifact): CONTENT}


@pytest.mark.parametrize(
    "key",
    [
        "incoming/%", "incoming/%ZZ/%/x", "incoming/a/b/c", "incoming/%FF%FE/a/b",
        "incoming/%00/%0A/%0D", "", "+",
        "%2e%2e/%2e%2e", "incoming/" + "x" * 1015, "deploy-state/functional.json",
        "incoming/{org}/{agent}/{art}%00", "incoming/{org}/{agent}/{art}+",
        "INCOMING/{org}/{agent}/{art}",
        "artifacts/{org}/{agent}/{art}", "/incoming/{org}/{agent}/{art}",
        "incoming%252F{org}%252F{agent}%252F{art}",
    ],
)  # fmt: skip
def test_a_foreign_key_is_left_alone_without_a_request(
    tenant: Tenant, host: Host, key: str
) -> None:
    artifact = announced(host)
    put_incoming(tenant, host.agent_id, artifact, CONTENT)
    named = key.format(org=tenant.organization, agent=host.agent_id, art=artifact)
    before = kept(tenant)
    with (
        injected(faults.DENIED, times=faults.ALWAYS) as database,
        troubled(
            runtime.current().copying_bucket._client, "HeadObject", service_faults.DENIED
        ) as s3,
    ):
        assert deliver(notification(named, encoded=False)) == []
    assert database.seen == s3.seen == 0
    assert kept(tenant) == before
    assert status(host, artifact) == "pending"


def test_a_key_of_no_object_is_no_failure(tenant: Tenant, host: Host) -> None:
    artifact = announced(host)
    key = f"incoming/{tenant.organization}/{host.agent_id}/{artifact}"
    assert deliver(notification(key)) == []
    assert status(host, artifact) == "pending"


def test_a_key_of_another_tenants_agent_is_not_its_upload(host: Host, other_tenant: Tenant) -> None:
    artifact = announced(host)
    key = put_incoming(other_tenant, host.agent_id, artifact, CONTENT)
    assert deliver(notification(key)) == []
    assert status(host, artifact) == "pending"
    assert kept(other_tenant) == {}


def test_every_record_of_a_notification_gets_its_verdict(tenant: Tenant, host: Host) -> None:
    contents = {announced(host, content): content for content in (b"one", b"two", b"three")}
    keys = [
        put_incoming(tenant, host.agent_id, artifact, content)
        for artifact, content in contents.items()
    ]
    records = notification(*keys[:2], "elsewhere/x", keys[2])["Records"]
    broken = {"eventName": "ObjectCreated:Post", "s3": {"object": {}}}
    with pytest.raises(KeyError):
        workers.verify_all([broken, *records], None)
    assert {status(host, artifact) for artifact in contents} == {"stored"}
    assert workers.verify_all(records, None) == ["gone", "gone", "foreign", "gone"]


def test_s3s_test_event_changes_nothing(tenant: Tenant, host: Host) -> None:
    # S3 sends it to queues and topics only; whoever sends it here, it waits in the dead letters.
    artifact = announced(host)
    put_incoming(tenant, host.agent_id, artifact, CONTENT)
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b", "Time": "now"}
    assert len(deliver(event)) in {0, _LAMBDA_TRIES}
    assert status(host, artifact) == "pending"


@pytest.mark.parametrize("operation", ["HeadObject", "CopyObject", "DeleteObject"])
@pytest.mark.parametrize(
    "trouble",
    [service_faults.REFUSED, service_faults.LOST, service_faults.UNAVAILABLE,
     service_faults.DENIED],
    ids=str,
)  # fmt: skip
def test_an_upload_outlives_an_outage_of_s3(
    tenant: Tenant, host: Host, operation: str, trouble: Trouble
) -> None:
    artifact = announced(host)
    event = notification(put_incoming(tenant, host.agent_id, artifact, CONTENT))
    with troubled(runtime.current().copying_bucket._client, operation, trouble, times=2) as met:
        failures = deliver(event)
    assert met.struck
    assert len(failures) < _LAMBDA_TRIES, failures
    assert deliver(event) == []
    assert verdicts(tenant, artifact) == ["artifact.stored"]
    assert kept(tenant) == {final(tenant, host, artifact): CONTENT}


@pytest.mark.parametrize(
    "fault",
    [faults.DROPPED, faults.LOST, faults.SERVER_ERROR, faults.CONFLICT, faults.THROTTLED],
    ids=str,
)
@pytest.mark.parametrize("first", [1, 2, 3])
def test_an_upload_outlives_an_outage_of_the_database(
    tenant: Tenant, host: Host, fault: faults.Fault, first: int
) -> None:
    artifact = announced(host)
    event = notification(put_incoming(tenant, host.agent_id, artifact, CONTENT))
    with injected(fault, first=first, times=2) as meeting:
        failures = deliver(event)
    assert meeting.seen >= first
    assert len(failures) < _LAMBDA_TRIES, failures
    assert deliver(event) == []
    assert verdicts(tenant, artifact) == ["artifact.stored"]
    assert kept(tenant) == {final(tenant, host, artifact): CONTENT}
