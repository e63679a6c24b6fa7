"""Copies and restarts in random order, against the rule alone: a row that is kept in memory."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.errors import TooMany
from chalicelib.flows import clones
from chalicelib.store import instances
from chalicelib.store.agent_presence import OFFLINE, ONLINE, AgentPresenceItem
from chalicelib.store.presence_writes import Beat

THOROUGH = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
ACCEPTED, WAIT, STALE, CLONE = "accepted", "wait", "stale", "clone"
LATEST_STRAGGLER_MS = 29_000


@dataclass
class Process:
    """A process of the agent: its instance, and the sequence of its last beat."""

    name: str
    sequence: int = 0


@dataclass
class Plane:
    """Accepts beats as the heartbeat's flow does, on a row in memory."""

    interval: int
    now: int = 1_780_000_000_000
    row: AgentPresenceItem = field(default_factory=lambda: AgentPresenceItem("org#agt"))

    def hear(self, name: str, sequence: int) -> tuple[str, float]:
        """The outcome, and how many seconds to wait."""
        row, beat = self.row, self._beat(name, sequence)
        same = row.instance == name
        if same and row.sequence == sequence:
            return ACCEPTED, 0
        if same and row.sequence > sequence:
            return STALE, 0
        if not same:
            try:
                if clones.is_alive_beside(row, beat):
                    return CLONE, 0
            except TooMany as error:
                return WAIT, error.seconds
        if row.next_allowed is not None and row.next_allowed > self.now:
            return WAIT, -(-(row.next_allowed - self.now) // 1000)
        if not same:
            row.earlier_instances = instances.after(row, self.now, but=name)
            row.instance, row.instance_since = name, self.now
        row.status, row.sequence, row.last_seen = ONLINE, sequence, self.now
        row.next_allowed = beat.next_allowed
        return ACCEPTED, 0

    def sweep(self) -> None:
        """Whoever missed three beats is offline."""
        if self.row.last_seen is not None and self.now - self.row.last_seen > 3 * self.interval:
            self.row.status = OFFLINE

    def _beat(self, name: str, sequence: int) -> Beat:
        return Beat(
            organization="org", agent="agt", key=b"", scope="", sequence=sequence, nonce="",
            instance=name, version="", unpersisted=False, facts=None, source_address=None,
            now=self.now, next_allowed=self.now + self.interval // 4, due="",
        )  # fmt: skip


INTERVALS = st.sampled_from([2_000, 5_000, 10_000, 60_000, 3_600_000])
STEP = st.sampled_from(
    ["beat", "beat", "beat", "restart", "silence", "sweep", "repeat", "straggler", "snapshot"]
)


@THOROUGH
@given(
    interval=INTERVALS,
    steps=st.lists(st.tuples(STEP, st.floats(0, 1)), max_size=60),
)
def test_one_live_copy_is_never_taken_for_two(
    interval: int, steps: list[tuple[str, float]]
) -> None:
    plane = Plane(interval)
    # What a restored snapshot, or a request under way, may come from.
    live, dead = Process("p0", 1), [Process("p0", 1)]
    memory = [(plane.now, "p0", 1)]
    assert plane.hear("p0", 1) == (ACCEPTED, 0)
    for number, (step, part) in enumerate(steps, 1):
        if step == "restart":
            dead.append(Process(live.name, live.sequence + 1))
            live = Process(f"p{number}")
        elif step == "silence":
            plane.now += int(part * 6 * interval)
        elif step == "sweep":
            plane.sweep()
        elif step == "repeat":
            assert plane.hear(live.name, live.sequence)[0] != CLONE
        elif step == "straggler":
            _late_request(plane, live, dead[-1], {name for _, name, _ in memory}, part)
        elif step == "snapshot":
            _, name, sequence = memory[int(part * (len(memory) - 1))]
            heard_at = max(at for at, other, _ in memory if other == name)
            # As it was then; the host is there once, so what was live is not any more.
            silent = plane.now - heard_at > 3 * interval + 40_000
            dead.append(Process(live.name, live.sequence))
            live = Process(name, sequence if silent else max(0, sequence - 1))
            plane.now += 30_000 + interval
        plane.now += interval
        outcome = _beat_until_heard(plane, live)
        assert outcome != CLONE, (step, number)
        if outcome == ACCEPTED:
            memory.append((plane.now, live.name, live.sequence))


def _late_request(
    plane: Plane, live: Process, before: Process, heard: set[str], part: float
) -> None:
    """Of the process before, if that was heard at all and the present one is there for a moment."""
    if plane.row.instance != live.name or before.name == live.name or before.name not in heard:
        return
    since = plane.now - plane.row.instance_since
    plane.now += int(part * max(0, LATEST_STRAGGLER_MS - since))
    if plane.now - plane.row.instance_since <= LATEST_STRAGGLER_MS:
        assert plane.hear(before.name, before.sequence - (part > 0.5))[0] == WAIT


def _beat_until_heard(plane: Plane, live: Process) -> str:
    for _ in range(6):
        outcome, wait = plane.hear(live.name, live.sequence + 1)
        if outcome == ACCEPTED:
            live.sequence += 1
        if outcome == STALE:
            live.sequence = int(plane.row.sequence)
        elif outcome != WAIT:
            return outcome
        plane.now += int(wait * 1000)
    return WAIT


@THOROUGH
@given(
    interval=INTERVALS,
    offsets=st.lists(st.floats(0, 1), min_size=2, max_size=40),
    spreads=st.lists(st.floats(0.9, 1.1), min_size=20, max_size=20),
    restarts=st.lists(st.integers(0, 60), max_size=10),
)
def test_two_live_copies_are_always_noticed(
    interval: int, offsets: list[float], spreads: list[float], restarts: list[int]
) -> None:
    """Each beats on time, waits as it is told to, and the first two of them never start again."""
    plane = Plane(interval)
    start = plane.now
    live = [Process(f"c{number}") for number in range(len(offsets))]
    due = [(start + int(offset * interval), number) for number, offset in enumerate(offsets)]
    for count in range(5_000):
        due.sort()
        at, number = due.pop(0)
        plane.now = max(plane.now, at)
        process = live[number]
        if number > 1 and count in restarts:
            process = live[number] = Process(f"r{count}")
        outcome, wait = plane.hear(process.name, process.sequence + 1)
        if outcome == CLONE:
            break
        if outcome == ACCEPTED:
            process.sequence += 1
            wait = interval * spreads[count % len(spreads)] / 1000
        assert outcome in {ACCEPTED, WAIT}
        due.append((plane.now + int(wait * 1000), number))
    else:
        raise AssertionError("two copies beat on and on")
    assert plane.now - start <= 3 * interval + 300_000
