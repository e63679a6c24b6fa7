"""Law 3: what a cascade's threads, groups and lists ask of the store."""

import contextlib
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pynamodb.attributes import UnicodeAttribute

from chalicelib import ids, runtime, settings
from chalicelib.evidence.record import Origin
from chalicelib.flows import cascade, job_steps, revoke_agent
from chalicelib.flows.contention import Patience
from chalicelib.flows.job_steps import StepTools
from chalicelib.store import agent_identities, agent_lists, jobs
from chalicelib.store.agent_identities import AgentIdentityItem, agent_row
from chalicelib.store.connection import connection
from chalicelib.store.jobs import DONE, RUNNING, JobItem
from chalicelib.store.table import Table, read_all
from chalicelib.store.transaction import Transaction
from tests.functional.api import Host, Tenant
from tests.functional.laws import faults
from tests.functional.laws.faults import injected, interleaved
from tests.functional.laws.request_counter import counted


class _Meeting:
    """A table name whose reader waits for another reader, if one can come."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2, timeout=0.2)

    def __get__(self, instance: object, owner: type) -> str:
        # It breaks where one reader is let in at a time: as it should be.
        with contextlib.suppress(threading.BrokenBarrierError):
            self._barrier.wait()
        return settings.load().table_prefix + "of_two_threads"


def test_threads_that_use_a_model_first_share_one_connection(tenant: Tenant) -> None:
    assert tenant

    class Item(Table):
        class Meta:
            table_name: Any = _Meeting()

        pk = UnicodeAttribute(hash_key=True)

    bound: list[Any] = []
    threads = [
        threading.Thread(target=lambda: bound.append(Item._get_connection().connection))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bound == [connection(), connection()]
    assert Item._get_connection().connection is connection()


def test_a_row_that_a_list_names_twice_is_asked_for_once(tenant: Tenant) -> None:
    """DynamoDB refuses a batch read with a repeated key; the emulator need not."""
    row = agent_row(tenant.organization, tenant.enroll().agent_id)
    other = agent_row(tenant.organization, tenant.enroll().agent_id)
    with counted() as requests:
        rows = read_all([row, other, row])
    (sent,) = requests.sent
    assert len(sent.tables) == 2
    found = [item.pk for item in rows if isinstance(item, AgentIdentityItem)]
    assert found == [row[1], other[1], row[1]]


def origin_of(tenant: Tenant) -> Origin:
    return Origin(
        organization=tenant.organization,
        actor_type="organization_key",
        actor_id="key",
        request_id="request",
        source_address=None,
        now=tenant.api.clock.now,
    )


def end_together(tenant: Tenant, hosts: list[Host]) -> None:
    rows = [agent_identities.find(tenant.organization, host.agent_id) for host in hosts]
    revoke_agent.revoke_together(
        runtime.current().patience, origin_of(tenant), [row for row in rows if row], None, "job"
    )


def ends_of(tenant: Tenant, host: Host) -> int:
    events = [record["event"] for record in tenant.audit("agent", host.agent_id)]
    return events.count("agent.revoked")


def test_agents_that_nobody_disturbs_end_in_one_transaction(tenant: Tenant) -> None:
    hosts = [tenant.enroll() for _ in range(revoke_agent.MOST_TOGETHER)]
    with counted() as requests:
        end_together(tenant, hosts)
    (transaction,) = requests.transactions
    # Half of what DynamoDB takes: what is written of an agent may grow.
    assert len(transaction.parts) == 50
    assert [ends_of(tenant, host) for host in hosts] == [1] * len(hosts)


def _revoked_meanwhile(tenant: Tenant, host: Host) -> None:
    assert tenant.call("POST", f"/agents/{host.agent_id}/revoke", {}).status == 200


def _renamed_meanwhile(tenant: Tenant, host: Host) -> None:
    renamed = tenant.call("PATCH", f"/agents/{host.agent_id}", {"name": "other"})
    assert renamed.status == 200, renamed.body


def _beaten_meanwhile(_: Tenant, host: Host) -> None:
    assert host.beat().status == 200


@pytest.mark.parametrize("disturb", [_revoked_meanwhile, _renamed_meanwhile, _beaten_meanwhile])
def test_what_stands_in_the_way_of_one_does_not_hold_up_the_others(
    tenant: Tenant, disturb: Callable[[Tenant, Host], None]
) -> None:
    hosts = [tenant.enroll() for _ in range(3)]
    with interleaved(lambda: disturb(tenant, hosts[1]), on="TransactWriteItems"):
        end_together(tenant, hosts)
    hosts[0].sequence = hosts[1].sequence = hosts[2].sequence = 9
    assert [host.beat().code for host in hosts] == ["key_revoked"] * 3
    assert [ends_of(tenant, host) for host in hosts] == [1, 1, 1]
    # The names are free, also a changed one.
    assert {tenant.enroll(name=name).agent_id for name in ("host-1.example", "other")}


def test_a_group_that_meets_contention_ends_one_by_one(tenant: Tenant) -> None:
    hosts = [tenant.enroll() for _ in range(3)]
    with injected(faults.CONFLICT, on="TransactWriteItems"), counted() as requests:
        end_together(tenant, hosts)
    assert [len(sent.parts) for sent in requests.transactions] == [15, 5, 5, 5]
    assert [ends_of(tenant, host) for host in hosts] == [1, 1, 1]


def started_job(tenant: Tenant) -> JobItem:
    transaction, job = Transaction(), ids.new(ids.JOB)
    jobs.start(
        transaction,
        tenant.organization,
        job,
        kind="kind",
        target="target",
        note=None,
        origin=origin_of(tenant),
    )
    assert transaction.write() is None
    row = jobs.find(tenant.organization, job)
    assert row is not None
    return row


def told(tenant: Tenant, row: JobItem, processed: int) -> tuple[str, int, int]:
    jobs.tell(tenant.organization, row, processed=processed, total=500, now=1)
    found = jobs.find(tenant.organization, row.job_id)
    assert found is not None
    return str(found.status), int(found.processed), int(found.step)


def test_a_job_tells_how_far_it_came_and_never_goes_back(tenant: Tenant) -> None:
    row = started_job(tenant)
    assert told(tenant, row, 100) == (RUNNING, 100, 0)
    assert told(tenant, row, 300) == (RUNNING, 300, 0)
    # A step that starts again counts from the beginning.
    assert told(tenant, row, 200) == (RUNNING, 300, 0)


def test_a_step_that_was_overtaken_tells_nothing(tenant: Tenant) -> None:
    row = started_job(tenant)
    transaction = Transaction()
    jobs.advance(
        transaction,
        tenant.organization,
        row,
        status=DONE,
        processed=400,
        total=400,
        attempts=0,
        last_error=None,
        now=1,
    )
    assert transaction.write() is None
    assert told(tenant, row, 450) == (DONE, 400, 1)


def test_a_note_that_cannot_be_written_does_not_end_the_step(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = started_job(tenant)
    gone = [ids.new(ids.AGENT) for _ in range(250)]
    monkeypatch.setattr(agent_lists, "created_by", lambda *_: iter(gone))
    minutes = itertools.count(0, 60_000)
    patience = Patience(lambda _: None, lambda: 0.5)
    now = runtime.current()
    tools = StepTools(
        patience,
        lambda: next(minutes),
        lambda: False,
        lambda: now.exports,
        lambda: now.evidence_bucket,
    )
    kinds = {row.kind: cascade.work}
    with injected(faults.THROTTLED, times=faults.ALWAYS, on="UpdateItem") as met:
        job_steps.step(kinds, tools, tenant.organization, row.job_id, 0)
    assert met.seen > 0
    found = jobs.find(tenant.organization, row.job_id)
    assert found is not None
    assert (found.status, found.processed) == (DONE, 250)
    assert found.last_error is None
