"""Law 3: what a cascade's threads and its lists ask of the store."""

import contextlib
import threading
from typing import Any

from pynamodb.attributes import UnicodeAttribute

from chalicelib import settings
from chalicelib.store.agent_identities import AgentIdentityItem, agent_row
from chalicelib.store.connection import connection
from chalicelib.store.table import Table, read_all
from tests.functional.api import Tenant
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
