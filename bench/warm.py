"""CPU of a warm request in the function's process, against a bare view with the same requests."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench.backend import client
from bench.figures import Compared
from bench.fleet import Agent, Tenant, answered, exchange
from bench.processes import HERE, Event, FunctionProcess, require

ROUNDS = 30
BEATS = 150
EXCHANGES = 40
"""Also the uses of a token: few enough for it to count them in its own row."""
_WARMING_ROUNDS = 2


def heartbeats(
    package: Path, environ: Mapping[str, str], tenant: Tenant, agents: list[Agent]
) -> dict[str, Any]:
    """Steady heartbeats, against one `UpdateItem` by boto3."""
    half = len(agents) // 2
    ours, theirs = cycle(agents[:half]), cycle(agents[half:])
    floor_environ = {**environ, "FLOOR_ORGANIZATION": tenant.organization}
    with (
        FunctionProcess(package, environ) as process,
        FunctionProcess(package, floor_environ, "heartbeat:app", HERE / "floors") as floor,
    ):
        return compared(lambda: _beats(process, ours), lambda: _beats(floor, theirs))


def exchanges(
    package: Path, environ: Mapping[str, str], tenant: Tenant, run_dir: Path
) -> dict[str, Any]:
    """Exchanges, against the requests of a recorded one sent by boto3."""
    recorded = run_dir / "exchange"
    with FunctionProcess(package, environ, "recording:handler") as recorder:
        token = tenant.mint(recorder, EXCHANGES)["token"]
        requests = require(recorder.call([exchange(token)]), 201).answers[0]["requests"]
    _keep(requests, recorded, client("dynamodb", environ))
    floor_environ = {**environ, "FLOOR_REQUESTS": str(recorded)}
    with (
        FunctionProcess(package, environ) as process,
        FunctionProcess(package, floor_environ, "exchange:app", HERE / "floors") as floor,
    ):

        def ours() -> float:
            token = tenant.mint(process, EXCHANGES)["token"]
            return cpu(process, [exchange(token) for _ in range(EXCHANGES)], 201)

        return compared(ours, lambda: cpu(floor, [exchange(token) for _ in range(EXCHANGES)], 200))


def compared(ours: Callable[[], float], floor: Callable[[], float]) -> dict[str, Any]:
    """The CPU of ours against the floor's, in pairs, one right after the other."""
    pairs = [(ours(), floor()) for _ in range(ROUNDS + _WARMING_ROUNDS)]
    return {"cpu_ms": Compared.of(pairs[_WARMING_ROUNDS:]).document()}


def _beats(process: FunctionProcess, agents: Iterator[Agent]) -> float:
    beating = list(islice(agents, BEATS))
    spent = cpu(process, [agent.beat() for agent in beating], 200)
    answered(beating)
    return spent


def cpu(process: FunctionProcess, events: list[Event], status: int) -> float:
    """The CPU of one of some requests, in milliseconds."""
    return require(process.call(events), status).cpu_ms / len(events)


def as_sent(requests: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """What a recorded request asked of DynamoDB, to be sent again."""
    return [(one["operation"], ast.literal_eval(one["parameters"])) for one in requests]


def _keep(requests: list[dict[str, Any]], file: Path, database: Any) -> None:  # noqa: ANN401
    sent = as_sent(requests)
    file.write_text(repr(sent), "utf-8")
    # The floor spends the same token again and again.
    ((redeemed,),) = (
        [part["Update"] for part in parameters["TransactItems"] if "Update" in part]
        for operation, parameters in sent
        if operation == "TransactWriteItems"
    )
    database.update_item(
        TableName=redeemed["TableName"],
        Key=redeemed["Key"],
        UpdateExpression="SET max_uses = :endless",
        ExpressionAttributeValues={":endless": {"N": "1000000"}},
    )
