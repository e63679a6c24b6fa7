"""A host with a binary, and the agent's processes that start from it one after the other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rollcall_agent.binary_files import BinaryFiles, FileOperations, PosixBinaries
from rollcall_agent.programs import Programs
from rollcall_agent.staging import Staging
from rollcall_agent.upgrade import Upgrade
from rollcall_agent.upgrade_memory import UpgradeMemory

from tests.unit.agent.fakes import FakeClock, Lines
from tests.unit.agent.releases import PLATFORM, FakeReleases, Signer, program

Way = Callable[[Path, FileOperations], BinaryFiles]


@dataclass
class Host:
    """Its folder, its clock, and what its control plane publishes."""

    folder: Path
    releases: FakeReleases = field(default_factory=lambda: FakeReleases(Signer()))
    clock: FakeClock = field(default_factory=FakeClock)
    lines: Lines = field(default_factory=Lines)
    way: Way = PosixBinaries

    def __post_init__(self) -> None:
        self.binary.parent.mkdir(parents=True)
        self.binary.write_bytes(program("0.1.0"))
        self.binary.chmod(0o755)

    @property
    def binary(self) -> Path:
        return self.folder / "bin" / "rollcall-agent"

    @property
    def memory(self) -> UpgradeMemory:
        return UpgradeMemory(self.folder / "state")

    @property
    def version(self) -> str:
        """What is installed says this of itself; a binary that is not whole could not."""
        done = subprocess.run([self.binary], capture_output=True, text=True, check=True)  # noqa: S603
        return done.stdout.strip()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.binary.parent.iterdir())

    def start(
        self,
        files: FileOperations | None = None,
        *,
        pin: str | None = None,
        refusal: str | None = None,
        apart: Callable[[Callable[[], None]], None] = lambda work: work(),
    ) -> Upgrade:
        """Start the version that is installed, up to its first beat."""
        binaries = self.way(self.binary, files or FileOperations())
        upgrade = Upgrade(
            version=self.version,
            refusal=refusal,
            files=binaries,
            stage=Staging(
                self.releases,
                binaries,
                Programs({}),
                pin or self.releases.signer.pin,
                *PLATFORM,
            ),
            memory=self.memory,
            clock=self.clock,
            say=self.lines,
            apart=apart,
        )
        upgrade.at_start()
        return upgrade
