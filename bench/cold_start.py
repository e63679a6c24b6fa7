"""Cold start: from the import of `app` to the first answered heartbeat, in a fresh process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.figures import Compared
from bench.fleet import Agent
from bench.processes import HERE, OURS, FunctionProcess, require


def measure(
    package: Path, environ: Mapping[str, str], agents: list[Agent], pairs: int
) -> dict[str, Any]:
    """Fresh processes, ours and the floor's in turn."""
    elapsed, cpu = [], []
    for number in range(pairs + 1):
        agent = agents[number % len(agents)]
        ours = _once(package, environ, OURS, agent)
        floor = _once(package, environ, "cold_start:handler", agent)
        if number:  # the first pair brings the package into the page cache
            elapsed.append((ours[0], floor[0]))
            cpu.append((ours[1], floor[1]))
    return {
        "elapsed_ms": Compared.of(elapsed).document(),
        "cpu_ms": Compared.of(cpu).document(),
    }


def _once(
    package: Path, environ: Mapping[str, str], target: str, agent: Agent
) -> tuple[float, float]:
    with FunctionProcess(package, environ, target, HERE / "floors") as process:
        served = require(process.call([agent.beat()]), 200)
        return (
            process.imported.elapsed_ms + served.elapsed_ms,
            process.imported.cpu_ms + served.cpu_ms,
        )
