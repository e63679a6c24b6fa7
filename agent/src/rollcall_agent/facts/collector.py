"""All facts of this host at one moment, and the hash by which a change of them is seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rollcall_agent.facts import (
    canonical,
    clock_facts,
    clouds,
    configured,
    containers,
    disks,
    interfaces,
    machine_id,
    names,
    processor,
)
from rollcall_agent.facts.host import Host
from rollcall_agent.facts.texts import fact, known

Source = Callable[[Host], Mapping[str, object]]


def _single(name: str, read: Callable[[Host], object]) -> Source:
    return lambda host: {name: read(host)}


SOURCES: Final[Sequence[Source]] = (
    _single("hostname", names.hostname),
    _single("os", names.os_name),
    _single("arch", lambda host: names.architecture(host.machine())),
    _single("kernel", lambda host: fact(host.kernel())),
    configured.collect,
    _single("machine_id_sha256", machine_id.hashed),
    interfaces.primary,
    interfaces.inventory,
    processor.cpu,
    processor.memory,
    disks.collect,
    _single("time_zone", clock_facts.time_zone),
    clock_facts.boot,
    _single("container", containers.container),
    clouds.collect,
)
_BOOT: Final = "boot_time"
# The clock of a host that was just started may be set by some seconds, and the minute tips over.
_SAME_BOOT_SECONDS: Final = 120


@dataclass(frozen=True)
class Snapshot:
    """What the host says of itself.

    Attributes:
        document: Only objects, lists, texts, whole numbers and truths.
        sha256: Of the canonical form of what lasts of the document.
    """

    document: dict[str, object]
    sha256: str


@dataclass
class Collector:
    """Collects the facts of a host, as often as it is asked."""

    host: Host = field(default_factory=Host)
    sources: Sequence[Source] = SOURCES
    _boot: str | None = field(default=None, init=False, repr=False)

    def current(self) -> Snapshot:
        """Return the facts of this moment."""
        found: dict[str, object] = {}
        for source in self.sources:
            found.update(_asked(source, self.host))
        boot = found.get(_BOOT)
        if isinstance(boot, str):
            found[_BOOT] = self._same_boot(boot)
        document = canonical.bounded(found)
        return Snapshot(document, canonical.digest(document))

    def _same_boot(self, boot: str) -> str:
        """Stay with what was said before, unless it was another boot."""
        if self._boot is None or _apart(self._boot, boot) > _SAME_BOOT_SECONDS:
            self._boot = boot
        return self._boot


def _asked(source: Source, host: Host) -> dict[str, object]:
    """Ask one source; one that fails leaves its facts out, and nothing else."""
    try:
        return known(dict(source(host)))
    except Exception:  # noqa: BLE001 - a broken host must still be able to say the rest
        return {}


def _apart(one: str, other: str) -> float:
    first, second = datetime.fromisoformat(one), datetime.fromisoformat(other)
    return abs((first - second).total_seconds())
