"""An organization whose records are sealed as the stream brings them."""

from collections.abc import Iterator

import pytest

from chalicelib import runtime
from tests.functional.clock import FrozenClock
from tests.functional.sealed import Evidence
from tests.functional.streams import Queue, Stream
from tests.functional.world import empty_tables


@pytest.fixture
def evidence(stack: dict[str, str], clock: FrozenClock, letters: Queue) -> Iterator[Evidence]:
    """Nothing is written yet, no letter waits, and time stands still."""
    assert letters
    empty_tables()
    runtime.use(runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5))
    yield Evidence(stack, clock.now)
    runtime.use(None)


@pytest.fixture
def trail(stack: dict[str, str], evidence: Evidence) -> Stream:
    """The audit table's stream from now on."""
    assert evidence
    return Stream(stack["AuditRecordsStreamArn"])
