"""What an environment tells all its agents: how often to beat, and which version to have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.api import Api, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests, writes
from tests.functional.laws.request_counter import counted
from tests.functional.releases import LINUX, Releases


@pytest.fixture
def releases(stack: dict[str, str], api: Api, tmp_path: Path) -> Iterator[Releases]:
    assert api
    made = Releases(stack, tmp_path)
    yield made
    made.clear()


@pytest.fixture
def published(releases: Releases) -> Releases:
    """A stage on which 1.2.3 is published."""
    releases.publish("1.2.3", {LINUX: b"binary"})
    return releases


def change(tenant: Tenant, **wanted: Any) -> dict[str, Any]:
    answer = tenant.call("PATCH", f"/environments/{tenant.environment}", wanted)
    assert answer.status == 200, answer.body
    assert isinstance(answer.body, dict)
    return answer.body


def beat(host: Host, clock: FrozenClock, after: int = 3_600) -> Any:
    clock.advance(seconds=after)
    answer = host.beat()
    assert answer.status == 200, answer.body
    return answer


def status(tenant: Tenant, host: Host) -> str:
    one = tenant.call("GET", f"/agents/{host.agent_id}").body["status"]
    (listed,) = tenant.call("GET", "/agents").body["agents"]
    assert listed["status"] == one
    return str(one)


def updates(tenant: Tenant) -> list[dict[str, Any]]:
    records = tenant.audit("environment", tenant.environment)
    return [one["detail"] for one in records if one["event"] == "environment.updated"]


def test_an_environment_says_nothing_of_slowness_and_versions_by_itself(
    tenant: Tenant, clock: FrozenClock
) -> None:
    seen = tenant.call("GET", f"/environments/{tenant.environment}").body
    assert (seen["slowdown_seconds"], seen["agent_version"], seen["agent_rollout_percent"]) == (
        None, None, 100,
    )  # fmt: skip
    answer = beat(tenant.enroll(), clock)
    assert answer.body["agent_version"] is None
    assert "Retry-After" not in answer.headers


def test_a_slowed_down_environment_tells_interval_minimum_and_retry_after(
    tenant: Tenant, clock: FrozenClock
) -> None:
    host = tenant.enroll()
    beat(host, clock)
    assert change(tenant, slowdown_seconds=600)["slowdown_seconds"] == 600
    # What workers know may be ten seconds old, and no older.
    answer = beat(host, clock, after=15)
    assert answer.body["heartbeat_interval_seconds"] == 600
    assert answer.body["minimum_interval_seconds"] == 150
    assert answer.headers["Retry-After"] == "600"
    clock.advance(seconds=149)
    soon = host.beat()
    assert (soon.status, soon.code, soon.headers["Retry-After"]) == (429, "heartbeat_too_soon", "1")
    assert change(tenant, slowdown_seconds=None)["slowdown_seconds"] is None
    answer = beat(host, clock, after=10)
    assert answer.body["heartbeat_interval_seconds"] == 60
    assert "Retry-After" not in answer.headers


def test_a_slow_down_that_is_faster_than_usual_changes_nothing(
    tenant: Tenant, clock: FrozenClock
) -> None:
    change(tenant, slowdown_seconds=10)
    answer = beat(tenant.enroll(), clock)
    assert answer.body["heartbeat_interval_seconds"] == 60
    assert "Retry-After" not in answer.headers


def test_a_worker_keeps_what_it_knows_for_ten_seconds(tenant: Tenant, clock: FrozenClock) -> None:
    first, second = tenant.enroll(hostname="a"), tenant.enroll(hostname="b")
    beat(first, clock)
    change(tenant, slowdown_seconds=600)
    clock.advance(seconds=9)
    assert second.beat().body["heartbeat_interval_seconds"] == 60
    clock.advance(seconds=7)
    with counted() as requests:
        assert first.beat().body["heartbeat_interval_seconds"] == 600
    assert requests.operations == ["GetItem", "UpdateItem"]


@pytest.mark.parametrize(("before", "after"), [(60, 600), (600, 60)], ids=["slower", "faster"])
def test_a_status_follows_what_the_agent_was_told_last(
    api: Any, clock: FrozenClock, before: int, after: int
) -> None:
    tenant = api.new_tenant(heartbeat_interval=before)
    host = tenant.enroll()
    beat(host, clock)
    change(tenant, heartbeat_interval_seconds=after)
    # It cannot know yet: it is as late as it was.
    clock.advance(seconds=before * 1.5)
    assert status(tenant, host) == "online"
    clock.advance(seconds=1)
    assert status(tenant, host) == "late"
    clock.advance(seconds=before * 1.5)
    assert status(tenant, host) == "offline"
    assert beat(host, clock, after=1).body["heartbeat_interval_seconds"] == after
    clock.advance(seconds=after * 1.5)
    assert status(tenant, host) == "online"
    clock.advance(seconds=1)
    assert status(tenant, host) == "late"


def test_a_status_follows_the_slow_down_that_the_agent_was_told(
    tenant: Tenant, clock: FrozenClock
) -> None:
    host = tenant.enroll()
    beat(host, clock)
    change(tenant, slowdown_seconds=1_200)
    beat(host, clock, after=60)
    change(tenant, slowdown_seconds=None)
    clock.advance(seconds=1_800)
    assert status(tenant, host) == "online"
    clock.advance(seconds=1_800)
    assert status(tenant, host) == "offline"


@pytest.mark.usefixtures("releases")
def test_a_version_is_refused_where_none_was_published(tenant: Tenant) -> None:
    path = f"/environments/{tenant.environment}"
    answer = tenant.call("PATCH", path, {"agent_version": "1.2.3", "slowdown_seconds": 600})
    assert (answer.status, answer.code) == (409, "agent_version_not_published")
    assert answer.body["latest_version"] is None
    assert "publish-agent" in answer.body["detail"]
    assert tenant.call("GET", path).body["slowdown_seconds"] is None
    assert updates(tenant) == []


@pytest.mark.parametrize("version", ["1.2.4", "1.2", "0.0.1", "9.9.9"])
def test_a_version_that_was_never_published_is_refused_with_the_one_that_was(
    tenant: Tenant, published: Releases, version: str
) -> None:
    assert published
    path = f"/environments/{tenant.environment}"
    answer = tenant.call("PATCH", path, {"agent_version": version})
    assert (answer.status, answer.code) == (409, "agent_version_not_published")
    assert answer.body["latest_version"] == "1.2.3"
    assert "1.2.3" in answer.body["detail"]
    assert change(tenant, agent_version="1.2.3")["agent_version"] == "1.2.3"


@pytest.mark.usefixtures("published")
def test_each_step_of_a_roll_out_keeps_the_agents_of_the_step_before(
    tenant: Tenant, clock: FrozenClock
) -> None:
    hosts = [tenant.enroll(hostname=f"host-{number}") for number in range(30)]
    wanted: set[str] = set()
    sizes = []
    for percent in (0, 20, 60, 100):
        change(tenant, agent_version="1.2.3", agent_rollout_percent=percent)
        told = {
            host.agent_id
            for host in hosts
            if beat(host, clock, after=60).body["agent_version"] == "1.2.3"
        }
        assert wanted <= told
        wanted = told
        sizes.append(len(told))
    assert sizes[0] == 0
    assert 0 < sizes[1] < sizes[2] < sizes[3] == 30
    change(tenant, agent_version=None)
    assert beat(hosts[0], clock).body["agent_version"] is None


def test_another_version_begins_with_other_agents() -> None:
    from chalicelib.flows.environment_control import Control

    def first(version: str) -> set[str]:
        control = Control(60, 0, agent_version=version, rollout_percent=10)
        return {name for name in map(str, range(2_000)) if control.version_for(name)}

    assert 120 < len(first("1.0")) < 280
    assert len(first("1.0") & first("1.1")) < len(first("1.0")) / 2


@pytest.mark.usefixtures("published")
def test_changes_are_evidence_with_what_was_before(tenant: Tenant) -> None:
    change(tenant, slowdown_seconds=600, agent_version="1.2.3", agent_rollout_percent=5)
    change(tenant, slowdown_seconds=None, agent_version=None)
    (first, second) = sorted(updates(tenant), key=lambda one: one["previous_slowdown_seconds"] or 0)
    names = ("slowdown_seconds", "agent_version", "agent_rollout_percent")
    assert [first[name] for name in names] == [600, "1.2.3", 5]
    assert [first[f"previous_{name}"] for name in names] == [None, None, 100]
    assert [second[name] for name in names] == [None, None, 5]
    assert [second[f"previous_{name}"] for name in names] == [600, "1.2.3", 5]


def test_what_is_as_wanted_is_not_written(tenant: Tenant) -> None:
    change(tenant, slowdown_seconds=600)
    for same in (
        {"slowdown_seconds": 600},
        {"agent_version": None},
        {"agent_rollout_percent": 100},
    ):
        with database_requests() as seen:
            change(tenant, **same)
        assert writes(seen) == []
    assert len(updates(tenant)) == 1


@pytest.mark.usefixtures("published")
def test_another_change_leaves_slowness_and_version_as_they_are(tenant: Tenant) -> None:
    change(tenant, slowdown_seconds=600, agent_version="1.2.3", agent_rollout_percent=0)
    seen = change(tenant, name="Renamed")
    assert (seen["slowdown_seconds"], seen["agent_version"], seen["agent_rollout_percent"]) == (
        600, "1.2.3", 0,
    )  # fmt: skip
