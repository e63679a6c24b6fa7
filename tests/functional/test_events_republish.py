"""`republish`: what an outage longer than the stream kept from the bus, under the same ids."""

import shlex
import sys
from argparse import ArgumentParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chalicelib import ids, runtime
from chalicelib.evidence import envelope
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.publisher import NotPublishedError, Published
from infra import moments, republish
from infra.__main__ import main
from infra.errors import DeployError
from infra.target import Target
from tests.functional.api import Api, Tenant
from tests.functional.audit_rows import garbage, written
from tests.functional.deliveries import invoke, shaped
from tests.functional.streams import Queue, Stream
from tests.functional.world import empty_tables

HOUR = 3_600_000
DAY = 24 * HOUR
_SCHEMAS = envelope.schemas()


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


@pytest.fixture
def start() -> int:
    """When the outage begins: two days ago, at the full minute."""
    now = runtime.wall_clock() - 2 * DAY
    return now - now % 60_000


def published(bus: Queue) -> list[dict[str, Any]]:
    """What came over the bus, in schema."""
    details = [message["detail"] for message in bus.read()]
    for detail in details:
        Draft202012Validator(_SCHEMAS[detail["event"]]).validate(detail)
    return details


def identifiers(bus: Queue) -> list[str]:
    return [detail["id"] for detail in published(bus)]


def command(*arguments: str) -> int:
    return main(["republish", "--stage", "functional", "--rate", "100000", *arguments])


def test_an_outage_longer_than_the_stream_is_covered_and_twice_is_the_same(
    api: Api, bus: Queue, letters: Queue, start: int
) -> None:
    one, other = api.new_tenant(), api.new_tenant()
    steps = [start + hours * HOUR for hours in range(48)]
    made = {*written(one, steps), *written(other, steps[5:])}
    assert command("--since", rfc3339(start)) == 0
    first = published(bus)
    assert {detail["id"] for detail in first} == made
    assert len(first) == len(made)
    for tenant in (one, other):
        times = [d["time"] for d in first if d["organization"] == tenant.organization]
        assert times == sorted(times), "each organization's in order of time"
    assert command("--since", "49h") == 0
    assert published(bus) == first
    assert letters.read() == []


def test_what_is_published_is_what_the_stream_would_have_published(
    api: Api, stack: dict[str, str], bus: Queue
) -> None:
    api.clock.now = runtime.wall_clock() - HOUR
    trail = Stream(stack["AuditRecordsStreamArn"])
    tenant = api.new_tenant()
    host = tenant.enroll()
    host.beat()
    host.beat()
    tenant.call("POST", f"/agents/{host.agent_id}/revoke", {"note": "köln"})
    invoke("publish_events", {"Records": shaped(trail.read(), stack["AuditRecordsStreamArn"])})
    streamed = {detail["id"]: detail for detail in published(bus)}
    assert {detail["outcome"] for detail in streamed.values()} == {"success", "refused"}
    assert command("--since", rfc3339(api.clock.now)) == 0
    assert {detail["id"]: detail for detail in published(bus)} == streamed


def test_both_ends_of_the_range_are_in(tenant: Tenant, bus: Queue, start: int) -> None:
    end = start + DAY
    made = written(tenant, [start - 10 * 60_000, start, end, end + 1])
    assert command("--since", rfc3339(start), "--until", rfc3339(end)) == 0
    assert identifiers(bus) == made[1:3]


def test_a_refusal_of_the_minute_in_which_the_outage_began_is_in(
    api: Api, bus: Queue, start: int
) -> None:
    api.clock.now = start - 5000
    tenant = api.new_tenant()
    token = tenant.mint(hostname="other")
    api.clock.now = start + 59_999
    assert tenant.exchange(token["token"]).status == 403
    # It bears the start of its minute, which is before the outage.
    assert command("--since", rfc3339(start + 59_998), "--organization", tenant.organization) == 0
    assert "agent.enrollment.failed" in {detail["event"] for detail in published(bus)}


def test_only_the_organizations_that_are_asked_for(
    tenant: Tenant, other_tenant: Tenant, bus: Queue, start: int,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made = written(tenant, [start])
    written(other_tenant, [start])
    nobody = ids.new(ids.ORGANIZATION)
    given = ("--since", rfc3339(start), "--organization", nobody, tenant.organization)
    assert command(*given) == 0
    assert identifiers(bus) == made
    assert f"{nobody}: 0 records" in capsys.readouterr().out


def test_a_dry_run_counts_and_publishes_nothing(
    tenant: Tenant, bus: Queue, letters: Queue, start: int, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tenant, [start + number for number in range(23)])
    garbage(tenant, start)
    assert command("--since", rfc3339(start), "--dry-run") == 3
    said = capsys.readouterr().out
    assert "23 events of 1 organizations would be published" in said
    assert "1 records cannot be published" in said
    assert bus.read() == letters.read() == []


def test_a_row_that_nothing_can_be_made_of_ends_in_the_dead_letters_and_not_the_run(
    tenant: Tenant, bus: Queue, letters: Queue, start: int
) -> None:
    made = written(tenant, [start + number for number in range(23)])
    garbage(tenant, start + 5)
    assert command("--since", rfc3339(start)) == 3
    assert sorted(identifiers(bus)) == sorted(made)
    (letter,) = letters.read()
    assert letter["error"]
    assert letter["record"]["sort"]["S"].endswith("#garbage")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "is no time"),
        (("--since", "2026-01-31"), "is no time"),
        (("--since", "2026-01-31T08:00:00"), "is no time"),
        (("--since", "26"), "is no time"),
        (("--since", "-26h"), ""),
        (("--since", "9999999d"), "is no time"),
        (("--since", "999999d"), ""),
        (("--since", "0001-01-01T00:00:00+14:00"), "is no time"),
        (("--since", "9999-12-31T23:59:59Z"), "in the future"),
        (("--since", "403d"), "days"),
        (("--since", "1h", "--until", "2h"), "is after --until"),
        (("--since", "1h", "--organization", "main"), "no organization's identifier"),
        (("--since", "1h", "--rate", "0"), "at least 1"),
        (("--since", "1h", "--after", "org_1"), "not what an earlier run printed"),
        (("--since", "1h", "--after", f"{ids.new('org')}:1#{ids.new('aud')}",
          "--organization", ids.new("org")), "not asked for"),
        ((), "--since"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told_and_publish_nothing(
    arguments: tuple[str, ...], said: str, bus: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["republish", "--stage", "functional", *arguments])
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 2
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    assert bus.read() == []


def test_a_stage_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["republish", "--stage", "elsewhere", "--since", "1h"]) == 1
    assert "elsewhere is not deployed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "ago"), [("90s", 90_000), ("45m", 45 * 60_000), ("26h", 26 * HOUR), ("2d", 2 * DAY)]
)
def test_a_time_may_be_how_long_ago(text: str, ago: int) -> None:
    assert moments.parse_time(text, 10 * DAY) == 10 * DAY - ago


def test_a_time_may_be_in_any_zone() -> None:
    expected = 1_780_000_000_123
    for text in ("2026-05-28T20:26:40.123Z", "2026-05-28T22:26:40.123+02:00"):
        assert moments.parse_time(text, 0) == expected


def test_an_outage_that_lasts_stops_the_run_after_a_bounded_time_and_tells_how_to_go_on(
    tenant: Tenant, start: int, bus: Queue, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = written(tenant, [start + number for number in range(25)])
    slept: list[float] = []
    sends = iter([True, False])

    def breaking(target: Any, outputs: Any) -> Any:
        real = send(target, outputs)

        def one(chunk: Any) -> Published:
            if next(sends, False):
                return real(chunk)
            raise NotPublishedError("EventBridge: EndpointConnectionError")

        return one

    send = republish._send
    monkeypatch.setattr(republish, "_send", breaking)
    parser = ArgumentParser()
    republish.add_arguments(parser)
    asked = parser.parse_args(["--stage", "functional", "--since", "49h"])
    with pytest.raises(DeployError, match="nothing is lost"):
        republish.run(asked, sleep=slept.append)
    said = capsys.readouterr().out
    assert 30 <= sum(slept) <= 120
    (line,) = [line for line in said.splitlines() if line.startswith("to go on: ")]
    words = shlex.split(line.removeprefix("to go on: "))
    assert words[:4] == [sys.executable, "-m", "infra", "republish"]
    assert "49h" not in words, "a relative time would be another one by then"
    monkeypatch.undo()
    assert main(words[3:]) == 0
    assert identifiers(bus) == made


def test_it_uses_the_rights_that_the_manual_names(
    tenant: Tenant, start: int, bus: Queue, letters: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[str] = set()

    class Watched(Target):
        def client(self, service: str) -> Any:
            client = super().client(service)
            client.meta.events.register(
                "before-call", lambda model, **_: used.add(f"{service}:{model.name}")
            )
            return client

    monkeypatch.setattr(republish, "Target", Watched)
    written(tenant, [start])
    garbage(tenant, start)
    assert command("--since", "49h") == 3
    assert used == {
        "cloudformation:DescribeStacks", "dynamodb:Scan", "dynamodb:Query", "events:PutEvents",
        "sqs:SendMessage",
    }  # fmt: skip
    assert len(bus.read()) == len(letters.read()) == 1
    used.clear()
    assert command("--since", "49h", "--dry-run", "--organization", tenant.organization) == 3
    assert used == {"cloudformation:DescribeStacks", "dynamodb:Query"}
