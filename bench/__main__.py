"""`make bench`: measures, writes `build/bench.json`, prints tables; `--check` fails on a limit."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from rollcall_client.switches import NoSwitchError, read_switch

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
from bench.document import document, publish
from bench.fleet import new_tenant
from bench.limits import exceeded
from bench.package import build
from bench.processes import FunctionProcess, ProcessError
from bench.size import FULL, SMALL, Size
from infra.console import say
from infra.deploy import ROOT
from infra.errors import DeployError

RESULTS = ROOT / "build" / "bench.json"
SMALL_RESULTS = ROOT / "build" / "bench-small.json"
INTERRUPTED = 130


def main() -> int:
    """Measure everything; the exit code tells whether `--check` was satisfied."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    arguments = _parser().parse_args()
    try:
        if arguments.publish:
            publish(_last_run())
            return 0
        if arguments.small:
            return _rehearsed(measure(SMALL))
        return _reported(measure(FULL), check=arguments.check)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (DeployError, ProcessError) as error:
        say(f"bench: {error}")
        return 1


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m bench", description=__doc__)
    one_of = parser.add_mutually_exclusive_group()
    one_of.add_argument(
        "--check",
        type=_switch,
        nargs="?",
        const=True,
        default=False,
        metavar="SWITCH",
        help="fail where a ratio, the zip or the agent is above its limit",
    )
    one_of.add_argument(
        "--small",
        action="store_true",
        help="do every step a few times, to see that all of them work; the figures mean nothing",
    )
    one_of.add_argument(
        "--publish", action="store_true", help="put the last run into docs/benchmarks.md instead"
    )
    return parser


def _switch(text: str) -> bool:
    try:
        return read_switch("CHECK", text, default=False)
    except NoSwitchError as error:
        raise ArgumentTypeError(error.line) from None


def _last_run() -> dict[str, Any]:
    try:
        results: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    except FileNotFoundError:
        raise ProcessError(
            f"there is no {RESULTS.relative_to(ROOT)}: run `make bench` first"
        ) from None
    return results


def _reported(results: dict[str, Any], *, check: bool) -> int:
    _keep(results, RESULTS)
    say(f"\n{report.render(results)}\n{RESULTS.relative_to(ROOT)} is written.")
    too_high = exceeded(results)
    for line in too_high:
        say(f"bench: {line}")
    return 1 if check and too_high else 0


def _rehearsed(results: dict[str, Any]) -> int:
    """The report is made and thrown away, and no limit is applied to what so few rounds say."""
    _keep(results, SMALL_RESULTS)
    document(report.render(results))
    exceeded(results)
    say(f"Every step works; {SMALL_RESULTS.relative_to(ROOT)} is written.")
    return 0


def _keep(results: dict[str, Any], file: Path) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def measure(size: Size) -> dict[str, Any]:
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
                agents = tenant.enroll(process, size.agents)
            steps: dict[str, Callable[[], dict[str, Any]]] = {
                "cold_start": lambda: cold_start.measure(folder, environ, agents, size.cold_starts),
                "heartbeat": lambda: warm.heartbeats(folder, environ, tenant, agents, size),
                "exchange": lambda: warm.exchanges(folder, environ, tenant, run_dir, size),
                "operator": lambda: operators.measure(
                    folder, environ, tenant, agents, run_dir, size
                ),
                "throughput": lambda: throughput.measure(folder, environ, tenant, agents, size),
                "requests": lambda: routes.measure(folder, environ, tenant, agents),
                "imports": lambda: imports.measure(folder, environ, size.imports),
                "agent": lambda: agent_process.measure(run_dir, size),
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
