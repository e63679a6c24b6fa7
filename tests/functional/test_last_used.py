"""When a credential was last used is written at most once an hour, whoever uses it at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from chalicelib.flows.identification import LAST_USED_EVERY_MS
from chalicelib.store import last_used
from chalicelib.store.connection import connection
from chalicelib.store.organizations import OrganizationItem, key_row
from chalicelib.store.people import PersonItem
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests
from tests.functional.laws import faults
from tests.functional.laws.faults import injected, interleaved
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.people import open_session, person, personal_token
from tests.functional.world import organization_key_with

HOUR = LAST_USED_EVERY_MS
Use = Callable[[], Answer]
When = Callable[[], float | None]


def _key(tenant: Tenant) -> tuple[str, When]:
    raw = organization_key_with(tenant, {"organization:read", "agents:read"})
    (row,) = [
        row
        for row in OrganizationItem.query(
            tenant.organization, OrganizationItem.item.startswith("key#")
        )
        if row.name == "test"
    ]

    def used() -> float | None:
        row.refresh(consistent_read=True)
        return row.last_used_at

    return raw, used


def _of_a_person(kind: str, tenant: Tenant) -> tuple[str, When]:
    someone = person(tenant, "viewer")
    raw, identifier = (
        open_session(tenant, someone.user)
        if kind == "session"
        else personal_token(tenant, someone.user, {"agents:read"})
    )

    def used() -> float | None:
        row = PersonItem.read(someone.user, f"{kind}#{identifier}")
        assert row is not None
        return row.last_used_at

    return raw, used


@pytest.fixture(params=["session", "token", "key"])
def credential(tenant: Tenant, request: pytest.FixtureRequest) -> tuple[Use, When]:
    """How to use a credential, and when its row says that it was."""
    kind = request.param
    raw, used = _key(tenant) if kind == "key" else _of_a_person(kind, tenant)
    return lambda: tenant.api.call("GET", "/api/v1/agents", credential=raw), used


@contextmanager
def effective_writes() -> Iterator[list[str]]:
    """The single updates that DynamoDB carried out."""
    done: list[str] = []

    def note(http_response: Any, model: Any, **_: Any) -> None:
        if http_response.status_code == 200:
            done.append(model.name)

    events = connection().client.meta.events
    events.register("after-call.dynamodb.UpdateItem", note)
    try:
        yield done
    finally:
        events.unregister("after-call.dynamodb.UpdateItem", note)


def test_the_first_use_is_written_and_those_of_the_hour_are_not(
    credential: tuple[Use, When], clock: FrozenClock
) -> None:
    use, used = credential
    first = clock.now
    assert use().status == 200
    assert used() == first
    clock.advance(seconds=HOUR // 1000)
    with database_requests() as seen:
        assert [use().status for _ in range(5)] == [200] * 5
    assert "UpdateItem" not in seen
    assert used() == first
    clock.now += 1
    with database_requests() as seen:
        assert [use().status for _ in range(5)] == [200] * 5
    assert seen.count("UpdateItem") == 1
    assert used() == clock.now


def test_of_two_uses_at_once_one_is_written_and_it_is_the_later(
    credential: tuple[Use, When], clock: FrozenClock
) -> None:
    use, used = credential

    def later() -> Answer:
        clock.advance(seconds=1)
        answer = use()
        clock.advance(seconds=-1)
        return answer

    with effective_writes() as done, interleaved(later, on="UpdateItem") as other:
        assert use().status == 200
    assert other[0].status == 200
    assert used() == clock.now + 1000
    assert done == ["UpdateItem"]


def test_twenty_threads_that_all_read_never_write_it_once(tenant: Tenant) -> None:
    raw, used = _key(tenant)
    organization, key = raw.split("_")[1:3]
    row, now = key_row(f"org_{organization}", f"key_{key}"), tenant.api.clock.now
    with one_at_a_time(), effective_writes() as done, ThreadPoolExecutor(20) as pool:
        list(
            pool.map(
                lambda late: last_used.note(row, now=now + late, unless_since=now + late - HOUR),
                range(20),
            )
        )
    assert done == ["UpdateItem"]
    when = used()
    assert when is not None
    assert now <= when < now + 20


@pytest.mark.parametrize("fault", [*faults.OF_A_WRITE, faults.DENIED], ids=str)
def test_a_use_that_cannot_be_written_down_is_no_refusal(
    credential: tuple[Use, When], fault: faults.Fault
) -> None:
    use, _ = credential
    with injected(fault, on="UpdateItem", times=faults.ALWAYS):
        assert use().status == 200


def test_what_was_refused_was_not_used(tenant: Tenant) -> None:
    raw, used = _key(tenant)
    assert tenant.api.call("GET", "/api/v1/audit-records", credential=raw).status == 403
    assert used() is None


def test_a_use_does_not_bring_a_row_back(tenant: Tenant) -> None:
    row = key_row(tenant.organization, "key_" + "0" * 20)
    last_used.note(row, now=tenant.api.clock.now, unless_since=0)
    assert OrganizationItem.read(tenant.organization, f"key#key_{'0' * 20}") is None
