"""`make bench`: measures, writes `build/bench.json`, prints tables; `--check` fails on a ratio."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from bench import (
    agent_process,
    cold_start,
    imports,
    machine,
    operators,
    report,
    routes,
    throughput,
    warm,
)
from bench.backend import backend
from bench.document import publish
from bench.fleet import new_tenant
from bench.limits import exceeded
from bench.package import build
from bench.processes import FunctionProcess, ProcessError
from infra.console import say
from infra.deploy import ROOT
from infra.engines import EngineError
from infra.errors import DeployError

RESULTS = ROOT / "build" / "bench.json"
AGENTS = 400
INTERRUPTED = 130


def main() -> int:
    """Measure everything; the exit code tells whether `--check` was satisfied."""
    parser = ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where a ratio is too high")
    parser.add_argument(
        "--publish", action="store_true", help="put the last run into docs/benchmarks.md instead"
    )
    arguments = parser.parse_args()
    if arguments.publish:
        publish(json.loads(RESULTS.read_text("utf-8")))
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        results = measure()
    except KeyboardInterrupt:
        return INTERRUPTED
    except (DeployError, EngineError, ProcessError) as error:
        say(f"bench: {error}")
        return 1
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    say(f"\n{report.render(results)}\n{RESULTS.relative_to(ROOT)} is written.")
    too_high = exceeded(results)
    for line in too_high:
        say(f"bench: {line}")
    return 1 if arguments.check and too_high else 0


def measure() -> dict[str, Any]:
    """All measurements, one after the other: nothing else of ours runs meanwhile."""
    local = ROOT / ".local"
    local.mkdir(exist_ok=True)
    results: dict[str, Any] = {"machine": machine.describe()}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=local) as work:
        run_dir = Path(work)
        package = build(run_dir)
        results["package"] = package.sizes()
        folder = package.folder
        with backend(run_dir) as environ:
            tenant = new_tenant(environ)
            with FunctionProcess(folder, environ) as process:
                agents = tenant.enroll(process, AGENTS)
            steps: dict[str, Callable[[], dict[str, Any]]] = {
                "cold_start": lambda: cold_start.measure(folder, environ, agents),
                "heartbeat": lambda: warm.heartbeats(folder, environ, tenant, agents),
                "exchange": lambda: warm.exchanges(folder, environ, tenant, run_dir),
                "operator": lambda: operators.measure(folder, environ, tenant, agents, run_dir),
                "throughput": lambda: throughput.measure(folder, environ, tenant, agents),
                "requests": lambda: routes.measure(folder, environ, tenant, agents),
                "imports": lambda: imports.measure(folder, environ),
                "agent": lambda: agent_process.measure(run_dir),
            }
            for name, step in steps.items():
                say(f"Measuring: {name.replace('_', ' ')} ...")
                results[name] = step()
    return results


def _interrupt(number: int, frame: object) -> NoReturn:
    # As Ctrl-C does: everything is put away on the way out.
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
