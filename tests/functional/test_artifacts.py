import base64
import dataclasses
import hashlib
import json
import re
from typing import Any

import pytest

from chalicelib import ids, runtime, workers
from chalicelib.flows.artifacts import LARGEST, MOST_AN_HOUR
from chalicelib.store import artifacts
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.world import CONTENT, artifact_wish, empty_tables, put_incoming


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture
def host(tenant: Tenant) -> Host:
    enrolled = tenant.enroll()
    assert enrolled.beat().status == 200
    return enrolled


def announce(host: Host, content: bytes = CONTENT, **more: Any) -> Answer:
    """An announcement."""
    return host.call("POST", "/artifacts", artifact_wish(content, **more))


def announced(host: Host, content: bytes = CONTENT, **more: Any) -> str:
    """The identifier of an announced artifact."""
    answer = announce(host, content, **more)
    assert answer.status == 201, answer.body
    return str(answer.body["artifact_id"])


def status(host: Host, artifact: str) -> tuple[str, str | None]:
    """Status and reason of an artifact, as its agent sees them."""
    answer = host.call("GET", f"/artifacts/{artifact}")
    assert answer.status == 200, answer.body
    return answer.body["status"], answer.body["reason"]


def stored(tenant: Tenant, host: Host, content: bytes = CONTENT, **more: Any) -> str:
    """An artifact that was uploaded and verified."""
    artifact = announced(host, content, **more)
    key = put_incoming(tenant, host.agent_id, artifact, content)
    assert workers.verify(key, None) == "stored"
    return artifact


def test_an_announcement_gets_a_form_that_fixes_the_upload(tenant: Tenant, host: Host) -> None:
    answer = announce(host)
    artifact = answer.body["artifact_id"]
    assert answer.status == 201
    assert (answer.body["status"], answer.body["deduplicated"]) == ("pending", False)
    assert answer.body["upload_expires_at"] == "2026-05-28T20:41:40.000Z"
    fields = answer.body["upload"]["fields"]
    bucket = runtime.current().settings.bucket
    key = f"incoming/{tenant.organization}/{host.agent_id}/{artifact}"
    checksum = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert bucket in answer.body["upload"]["url"]
    assert fields["key"] == key
    assert fields["Content-Type"] == "application/gzip"
    assert fields["x-amz-checksum-algorithm"] == "SHA256"
    assert fields["x-amz-checksum-sha256"] == checksum
    conditions = json.loads(base64.b64decode(fields["policy"]))["conditions"]
    for condition in (
        {"bucket": bucket},
        {"key": key},
        {"Content-Type": "application/gzip"},
        {"x-amz-checksum-algorithm": "SHA256"},
        {"x-amz-checksum-sha256": checksum},
        ["content-length-range", len(CONTENT), len(CONTENT)],
    ):
        assert condition in conditions
    assert not any("starts-with" in condition for condition in conditions)


def test_the_policy_ends_when_the_answer_says(host: Host) -> None:
    import datetime

    fields = announce(host).body["upload"]["fields"]
    expiration = json.loads(base64.b64decode(fields["policy"]))["expiration"]
    end = datetime.datetime.fromisoformat(expiration)
    # The signer has the machine's own clock.
    left = end - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(seconds=840) < left <= datetime.timedelta(seconds=901)


def test_content_is_stored_once_for_an_agent(tenant: Tenant, host: Host) -> None:
    artifact = stored(tenant, host)
    again = announce(host, filename="another.gz", metadata={"a": "b"})
    assert again.status == 200
    assert again.body == {"artifact_id": artifact, "status": "stored", "deduplicated": True}
    other_kind = announce(host, kind="state_snapshot")
    assert other_kind.status == 201
    assert other_kind.body["artifact_id"] != artifact


@pytest.mark.parametrize("size", [1, len(CONTENT) - 1, len(CONTENT) + 1, 100 * 1024 * 1024])
def test_content_that_is_stored_has_no_other_size(tenant: Tenant, host: Host, size: int) -> None:
    artifact = stored(tenant, host)
    answer = announce(host, size=size)
    assert (answer.status, answer.code) == (409, "artifact_size_differs")
    assert answer.body["stored_size"] == len(CONTENT)
    assert status(host, artifact) == ("stored", None)
    assert announce(host).body["deduplicated"] is True


def test_deduplication_is_no_oracle_for_other_agents(tenant: Tenant, host: Host) -> None:
    artifact = stored(tenant, host)
    other = tenant.enroll(hostname="other")
    other.beat()
    answer = announce(other)
    assert (answer.status, answer.body["deduplicated"]) == (201, False)
    assert answer.body["artifact_id"] != artifact


def test_content_that_is_only_announced_is_not_taken_for_stored(host: Host) -> None:
    assert announced(host) == announced(host)


def test_content_whose_retention_is_over_is_asked_for_again(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    # The bucket's lifecycle has removed the object by then; DynamoDB may keep the row for days.
    now = runtime.current()
    now.settings = dataclasses.replace(now.settings, artifact_retention_days=1)
    artifact = stored(tenant, host)
    download = f"/agents/{host.agent_id}/artifacts/{artifact}/download"
    clock.advance(days=1, seconds=-1)
    assert announce(host).status == 200
    assert tenant.call("GET", download).status == 200
    clock.advance(seconds=1)
    assert status(host, artifact) == ("expired", None)
    assert tenant.call("GET", download).code == "artifact_not_stored"
    assert announced(host) == artifact
    key = put_incoming(tenant, host.agent_id, artifact, CONTENT)
    assert workers.verify(key, None) == "stored"
    assert announce(host).status == 200


@pytest.mark.parametrize(
    ("more", "expected", "code"),
    [
        ({"size": LARGEST}, 201, None),
        ({"size": LARGEST + 1}, 413, "artifact_too_large"),
        ({"size": 2**53}, 413, "artifact_too_large"),
        ({"content_type": "text/plain"}, 201, None),
        ({"content_type": "text/html"}, 415, "artifact_type_refused"),
        ({"content_type": "image/svg+xml"}, 415, "artifact_type_refused"),
        ({"content_type": "application/x-msdownload"}, 415, "artifact_type_refused"),
    ],
)
def test_size_and_type_are_limited(
    host: Host, more: dict[str, Any], expected: int, code: str | None
) -> None:
    answer = announce(host, **more)
    assert (answer.status, answer.code) == (expected, code)


def test_too_many_announcements_in_an_hour_are_told_how_long_to_wait(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    clock.now = clock.now - clock.now % 3_600_000 + 3_000_000  # ten minutes before the hour ends
    row = artifacts.ArtifactItem(
        f"{tenant.organization}#{host.agent_id}",
        f"hour#{clock.now // 3_600_000}",
        announced=MOST_AN_HOUR - 1,
        ttl=None,
    )
    row.update([artifacts.ArtifactItem.announced.set(MOST_AN_HOUR - 1)])
    announced(host, b"the last one")
    refused = announce(host, b"one too many")
    assert (refused.status, refused.code) == (429, "too_many_artifacts")
    assert refused.headers["Retry-After"] == "600"
    assert len(tenant.call("GET", f"/agents/{host.agent_id}/artifacts").body["artifacts"]) == 1
    clock.advance(seconds=599)
    assert announce(host, b"one too many").headers["Retry-After"] == "1"
    clock.advance(seconds=1)
    assert announce(host, b"one too many").status == 201


def test_the_limit_is_one_agents_own(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    item = artifacts.ArtifactItem
    item(f"{tenant.organization}#{host.agent_id}", f"hour#{clock.now // 3_600_000}").update(
        [item.announced.set(MOST_AN_HOUR)]
    )
    assert announce(host).status == 429
    other = tenant.enroll(hostname="other")
    other.beat()
    assert announce(other).status == 201


def test_an_upload_that_never_came_is_expired(host: Host, clock: FrozenClock) -> None:
    artifact = announced(host)
    clock.advance(seconds=900)
    assert status(host, artifact) == ("pending", None)
    clock.advance(seconds=0.001)
    assert status(host, artifact) == ("expired", None)
    assert announced(host) == artifact
    assert status(host, artifact) == ("pending", None)


def test_the_row_of_an_upload_that_never_came_has_an_end(tenant: Tenant, host: Host) -> None:
    row = artifacts.find(tenant.organization, host.agent_id, announced(host))
    assert row is not None
    assert row.ttl is not None
    assert int(row.ttl.timestamp()) == 1_780_000_000 + 900 + 86_400


def test_a_stored_artifact_can_be_downloaded_and_no_other(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    artifact = announced(host, filename='über "all"; x=.gz')
    path = f"/agents/{host.agent_id}/artifacts/{artifact}/download"
    refused = tenant.call("GET", path)
    assert (refused.status, refused.code) == (404, "artifact_not_stored")
    workers.verify(put_incoming(tenant, host.agent_id, artifact, CONTENT), None)
    answer = tenant.call("GET", path)
    assert answer.status == 200
    assert answer.body["expires_at"] == "2026-05-28T20:31:40.000Z"
    url = answer.body["url"]
    assert f"artifacts/{tenant.organization}/{host.agent_id}/{artifact}" in url
    assert "X-Amz-Expires=300" in url
    assert re.search(r"response-content-disposition=attachment%3B", url)
    assert "%2522" in url  # the quotation mark of the name ends no header
    assert "response-content-type=application%2Foctet-stream" in url
    assert clock.slept == []


def test_before_its_first_beat_an_agent_announces_nothing(tenant: Tenant) -> None:
    fresh = tenant.enroll(hostname="fresh")
    for answer in (announce(fresh), fresh.call("GET", f"/artifacts/{ids.new('art')}")):
        assert (answer.status, answer.code) == (409, "not_active")
    fresh.beat()
    assert announce(fresh).status == 201


def test_a_revoked_agent_announces_and_sees_nothing(tenant: Tenant, host: Host) -> None:
    artifact = stored(tenant, host)
    tenant.call("POST", f"/agents/{host.agent_id}/revoke")
    for answer in (
        announce(host),
        announce(host, b"new"),
        host.call("GET", f"/artifacts/{artifact}"),
    ):
        assert (answer.status, answer.code) == (401, "key_revoked")
    seen = tenant.call("GET", f"/agents/{host.agent_id}/artifacts/{artifact}")
    assert seen.body["status"] == "stored"


def test_an_offline_agent_may_still_upload(host: Host, clock: FrozenClock) -> None:
    clock.advance(hours=3)
    assert announce(host).status == 201


def test_artifacts_are_listed_once_over_pages_and_without_counts(
    tenant: Tenant, host: Host
) -> None:
    expected = {announced(host, bytes([number])) for number in range(7)}
    listed: list[str] = []
    cursor = ""
    for _ in range(10):
        answer = tenant.call("GET", f"/agents/{host.agent_id}/artifacts?limit=3{cursor}")
        assert answer.status == 200
        listed += [row["artifact_id"] for row in answer.body["artifacts"]]
        if answer.body["next_cursor"] is None:
            break
        cursor = f"&cursor={answer.body['next_cursor']}"
    assert len(listed) == len(set(listed)) == 7
    assert set(listed) == expected
    assert listed == sorted(listed)


def test_the_list_of_an_agent_without_artifacts_is_empty(tenant: Tenant, host: Host) -> None:
    answer = tenant.call("GET", f"/agents/{host.agent_id}/artifacts")
    assert answer.body == {"artifacts": [], "next_cursor": None}


def shown(host: Host, artifact: str) -> dict[str, Any]:
    found: dict[str, Any] = host.call("GET", f"/artifacts/{artifact}").body
    return found


def described(tenant: Tenant, artifact: str) -> list[dict[str, Any]]:
    records = tenant.audit("artifact", artifact)
    return [one["detail"] for one in records if one["event"] == "artifact.described"]


DESCRIPTIONS: list[dict[str, Any]] = [
    {"filename": "another.gz"},
    {"content_type": "application/zip"},
    {"metadata": {"case": "8"}},
    {"metadata": {}},
    {"filename": "another.gz", "content_type": "text/plain", "metadata": {"case": "8", "b": ""}},
]


@pytest.mark.parametrize("said", DESCRIPTIONS, ids=str)
def test_what_is_said_last_of_stored_content_stands_and_the_former_is_evidence(
    tenant: Tenant, host: Host, said: dict[str, Any]
) -> None:
    artifact = stored(tenant, host, metadata={"case": "7"})
    before = shown(host, artifact)
    answer = announce(host, **{"metadata": {"case": "7"}, **said})
    assert (answer.status, answer.body["artifact_id"]) == (200, artifact)
    after = shown(host, artifact)
    assert after == {**before, **said}
    (detail,) = described(tenant, artifact)
    for name in ("filename", "content_type", "metadata"):
        assert (detail[name], detail[f"previous_{name}"]) == (after[name], before[name])


def test_evidence_of_a_description_holds_no_fingerprint_of_hardware(
    tenant: Tenant, host: Host
) -> None:
    artifact = stored(tenant, host, metadata={"nic": "aabb.ccdd.eeff"})
    said = {"serial": "X1234", "nic": "00:11:22:33:44:55", "case": "7"}
    assert announce(host, filename="00:11:22:33:44:55.gz", metadata=said).status == 200
    (detail,) = described(tenant, artifact)
    assert set(detail["metadata"]) == {"nic", "case"}
    assert not any(text in str(detail) for text in ("X1234", "00:11:22", "aabb.ccdd"))


def test_the_same_said_again_of_stored_content_changes_and_counts_nothing(
    tenant: Tenant, host: Host
) -> None:
    artifact = stored(tenant, host, metadata={"case": "7"})
    for _ in range(70):
        assert announce(host, metadata={"case": "7"}).status == 200
    assert described(tenant, artifact) == []


def test_saying_ever_something_else_of_stored_content_is_limited(
    tenant: Tenant, host: Host
) -> None:
    stored(tenant, host)
    answers = [announce(host, metadata={"n": str(number)}) for number in range(61)]
    assert [answer.status for answer in answers[:59]] == [200] * 59
    assert (answers[-1].status, answers[-1].code) == (429, "too_many_artifacts")


def test_what_is_said_last_of_an_upload_under_way_stands(host: Host) -> None:
    artifact = announced(host, metadata={"case": "7"})
    announced(host, metadata={"case": "8"})
    assert shown(host, artifact)["metadata"] == {"case": "8"}
