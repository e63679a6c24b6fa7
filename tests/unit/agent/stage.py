"""One host with an env file, a control plane that says what it is told to, and the agent's loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.beating import Beating, Errands, Upgrader
from rollcall_agent.client import Call
from rollcall_agent.heartbeat import Heartbeat
from rollcall_agent.identity_file import IdentityFile
from rollcall_agent.instance import Instance
from rollcall_agent.last_state import Beaten
from rollcall_agent.persistence import Persistence
from rollcall_agent.reporting import Reporting
from rollcall_agent.rotation import Rotation
from rollcall_agent.schedule import Schedule
from rollcall_agent.settings import Settings
from rollcall_agent.splitting import Splitting
from rollcall_agent.stopping import StopRequestedError

from tests.unit.agent.fakes import Chance, FakeClock, Lines, ScriptedPlane, said

ENROLLED = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_key\n"
ONLINE = said(200, {"status": "online", "heartbeat_interval_seconds": 60})
HEARTBEAT = "/telemetry/heartbeat"


def online(**more: object) -> Answer:
    """An accepted beat whose answer says more."""
    return said(200, {"status": "online", "heartbeat_interval_seconds": 60, **more})


@dataclass
class Facts:
    """Facts that a test changes."""

    document: dict[str, object] = field(default_factory=lambda: {"hostname": "web-1"})
    sha256: str = "0" * 64
    asked: int = 0
    error: Exception | None = None

    def current(self) -> Facts:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self


class Wishes:
    """Keeps what an upgrader is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.error: Exception | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    def accepted(self) -> None:
        self.told.append("accepted")
        self.meanwhile()

    def not_accepted(self) -> None:
        self.told.append("not accepted")

    def wanted(self, version: str) -> None:
        self.told.append(version)
        if self.error is not None:
            raise self.error


class Stage:
    """A host at whose slot it is right now."""

    def __init__(
        self,
        folder: Path,
        *answers: Answer | Exception,
        text: str = ENROLLED,
        beaten: Beaten | None = None,
        verbose: bool = False,
    ) -> None:
        self.path = folder / "etc" / "agent.env"
        self.path.parent.mkdir()
        self.path.write_text(text)
        self.plane = ScriptedPlane(*answers)
        self.clock = FakeClock()
        self.lines = Lines()
        self.facts = Facts()
        self.wishes = Wishes()
        self.remembered: list[str] = []
        self.beaten = beaten
        self.verbose = verbose
        self.start()

    def start(self) -> None:
        """Start the process, for the first time or again."""
        settings = Settings.load(self.path, {})
        identity = settings.identity()
        assert identity is not None
        rng, file = Chance(0.5), IdentityFile(self.path)
        parts: Any = (self.plane, self.clock, rng, self.lines)
        self.persistence = Persistence(*parts[1:])
        upgrader: Upgrader = self.wishes
        names = iter(f"{kind}-{id(self)}-{self.clock.time}" for kind in "abcdefgh")
        self.beating = Beating(
            identity=identity,
            plane=self.plane,
            begin=self.begin,
            errands=Errands(
                rotation=Rotation(file, *parts),
                splitting=Splitting(file, self.plane, self.lines, settings.split_note()),
                persistence=self.persistence,
                reporting=Reporting(self.facts, *parts),
                upgrader=upgrader,
            ),
            instance=Instance(lambda: next(names), self.clock),
            clock=self.clock,
            say=self.lines,
            remember=lambda state, _detail, _now, _beaten: self.remembered.append(state),
            beaten=self.beaten,
            verbose=self.verbose,
        )

    def begin(self, agent_id: str, interval: float | None) -> Heartbeat:
        # The slot is now: 1,000,000 s is 40 s into a minute.
        place = (self.clock.time % 60) / 60
        nonces = (f"{agent_id}-{chr(97 + number)}" for number in count())
        return Heartbeat(
            schedule=Schedule(place),
            rng=Chance(0.5),
            mint_nonce=nonces.__next__,
            interval=interval,
        )

    def run(self, *more: Answer | Exception) -> None:
        """Run until the script ends."""
        self.plane.answers += [*more, StopRequestedError()]
        with pytest.raises(StopRequestedError):
            self.beating.run()
        # The call that stopped it is nobody's business.
        self.plane.calls.pop()

    def beats(self) -> list[dict[str, Any]]:
        return [dict(call.body or {}) for call in self.calls(HEARTBEAT)]

    def calls(self, ending: str) -> list[Call]:
        return [call for call in self.plane.calls if call.path.endswith(ending)]

    def keys(self) -> list[str]:
        """Which key each beat showed."""
        return [call.bearer.reveal() for call in self.calls(HEARTBEAT) if call.bearer]

    def lines_of_file(self) -> list[str]:
        return self.path.read_text().splitlines()

    def break_disk(self) -> Callable[[], None]:
        """Make the env file unwritable, also for root; the result makes it writable again."""
        # A folder where the temporary file goes.
        blocker = self.path.with_name(f".{self.path.name}.new")
        blocker.mkdir()
        (blocker / "full").touch()

        def repair() -> None:
            (blocker / "full").unlink()
            blocker.rmdir()

        return repair
