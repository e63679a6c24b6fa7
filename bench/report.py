"""The results as Markdown: for the terminal, and as they are for `docs/benchmarks.md`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.limits import AGENT_LIMITS, LIMITS, ratio

_MIB = 2**20


def render(results: dict[str, Any]) -> str:
    """All tables."""
    parts = (_machine, _ratios, _operators, _throughput, _routes, _package, _imports, _agent)
    return "\n\n".join(part(results) for part in parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _machine(results: dict[str, Any]) -> str:
    machine = results["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    return (
        f"{machine['date']}; {machine['processor']}, {machine['cores']} cores, "
        f"load {machine['load_before']} before; {machine['system']}; "
        f"Python {machine['python']}; {libraries}."
    )


def _ratios(results: dict[str, Any]) -> str:
    rows = []
    for name, figures in results.items():
        if name not in LIMITS:
            continue
        decisive, most = LIMITS[name]
        for figure, compared in figures.items():
            rows.append(
                [
                    f"{name.replace('_', ' ')}, {figure.removesuffix('_ms').replace('cpu', 'CPU')}",
                    _spread(compared["ours"]),
                    _spread(compared["floor"]),
                    _spread(compared["ratio"], digits=2),
                    f"{most}" if figure == decisive else "",
                    ("yes" if ratio(results, name) <= most else "NO") if figure == decisive else "",
                ]
            )
    head = ("median (quartiles)", "ours, ms", "floor, ms", "ratio", "at most", "holds")
    return "### Ratios\n\n" + _table(head, rows)


def _spread(spread: dict[str, float], digits: int | None = None) -> str:
    places = digits if digits is not None else (1 if spread["median"] >= 20 else 2)  # noqa: PLR2004
    median, low, high = (f"{spread[key]:.{places}f}" for key in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def _operators(results: dict[str, Any]) -> str:
    rows = [
        [
            f"GET /agents/{{agent_id}} by {name}",
            ", ".join(measured["operations"]),
            *(_spread(measured["cpu_ms"][figure]) for figure in ("ours", "floor")),
            _spread(measured["cpu_ms"]["ratio"], digits=2),
        ]
        for name, measured in results["operator"].items()
    ]
    head = ("median (quartiles)", "requests", "ours, CPU ms", "floor, CPU ms", "ratio")
    return "### An operator's request\n\n" + _table(head, rows)


def _throughput(results: dict[str, Any]) -> str:
    measured = results["throughput"]
    rows = [
        [what, clients, row["per_second"], row["p50_ms"], row["p95_ms"], row["p99_ms"]]
        for what in ("heartbeats", "exchanges")
        for clients, row in measured[what].items()
    ]
    head = ("", "clients", "per second", "p50 ms", "p95 ms", "p99 ms")
    title = f"### Throughput: {measured['function_processes']} function processes"
    return f"{title}, {measured['seconds']:g} s each\n\n{_table(head, rows)}"


def _routes(results: dict[str, Any]) -> str:
    measured = results["requests"]
    rows = [
        [
            row["route"],
            row["status"],
            row["requests"],
            ", ".join(f"{count} {name}" for name, count in row["operations"].items()) or "none",
            f"{row['read_units']:g}",
            f"{row['write_units']:g}",
        ]
        for row in measured["routes"]
    ]
    head = ("route and outcome", "status", "requests", "operations", "read units", "write units")
    average = measured["average_heartbeat_write_units"]
    return (
        f"### Requests to DynamoDB, and capacity\n\n{_table(head, rows)}\n\n"
        f"A heartbeat consumes {average:g} write units on the average "
        "(one every 60 s, buckets of 300 s)."
    )


def _package(results: dict[str, Any]) -> str:
    package = results["package"]
    largest = package["largest_parts"].items()
    parts = ", ".join(f"{name} {size / _MIB:.1f}" for name, size in largest)
    size, most, unpacked = (
        package[key] / _MIB for key in ("zip_bytes", "limit_bytes", "unpacked_bytes")
    )
    return (
        f"### Package\n\nZip {size:.1f} MiB of at most {most:.0f}; unpacked {unpacked:.0f} MiB. "
        f"Its largest parts, compressed, in MiB: {parts}."
    )


def _imports(results: dict[str, Any]) -> str:
    measured = results["imports"]
    rows = [
        [f"`{row['module']}`", row["alone_ms"], row["with_its_imports_ms"]]
        for row in measured["slowest"]
    ]
    title = f"### Import of `app`: {measured['modules']} modules, {measured['total_ms']:g} ms"
    return f"{title} under `-X importtime`\n\n" + _table(
        ("module", "alone, ms", "with what it imports first, ms"), rows
    )


def _agent(results: dict[str, Any]) -> str:
    measured = results["agent"]
    names = {"rss_mb": "resident memory, MB", "cpu_percent": "CPU, % of one core"}
    rows = [
        [
            names[figure],
            f"{measured[figure]:g}",
            f"{most:g}",
            "yes" if measured[figure] <= most else "NO",
        ]
        for figure, most in AGENT_LIMITS.items()
    ]
    title = (
        f"### The host agent: {measured['kind']}, {measured['processes']} processes, "
        f"a beat every {measured['interval_seconds']} s, {measured['seconds']:g} s"
    )
    return f"{title}\n\n" + _table(("", "measured", "at most", "holds"), rows)
