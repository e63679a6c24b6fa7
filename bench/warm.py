"""CPU of a warm request in the function's process, against a bare view with the same requests."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench.backend import client
from bench.figures import Compared
from bench.fleet import Agent, Tenant, answered, exchange
from bench.processes import HERE, Event, FunctionProcess, ProcessError, require
from bench.size import Size

_TOKENS = "agent_enrollment_tokens"


def heartbeats(
    package: Path, environ: Mapping[str, str], tenant: Tenant, agents: list[Agent], size: Size
) -> dict[str, Any]:
    """Steady heartbeats, against one `UpdateItem` by boto3."""
    half = len(agents) // 2
    ours, theirs = cycle(agents[:half]), cycle(agents[half:])
    floor_environ = {**environ, "FLOOR_ORGANIZATION": tenant.organization}
    with (
        FunctionProcess(package, environ) as process,
        FunctionProcess(package, floor_environ, "heartbeat:app", HERE / "floors") as floor,
    ):
        return compared(
            lambda: _beats(process, ours, size.beats),
            lambda: _beats(floor, theirs, size.beats),
            size,
        )


def exchanges(
    package: Path, environ: Mapping[str, str], tenant: Tenant, run_dir: Path, size: Size
) -> dict[str, Any]:
    """Exchanges, against the requests of a recorded one sent by boto3."""
    recorded = run_dir / "exchange"
    with FunctionProcess(package, environ, "recording:handler") as recorder:
        token = tenant.mint(recorder, size.exchanges)["token"]
        requests = require(recorder.call([exchange(token)]), 201).answers[0]["requests"]
    recording = Recording.of(as_sent(requests))
    recorded.write_text(repr((recording.sent, recording.created)), "utf-8")
    _make_endless(recording.token, client("dynamodb", environ))
    floor_environ = {**environ, "FLOOR_REQUESTS": str(recorded)}
    with (
        FunctionProcess(package, environ) as process,
        FunctionProcess(package, floor_environ, "exchange:app", HERE / "floors") as floor,
    ):

        def events(token: str) -> list[Event]:
            return [exchange(token) for _ in range(size.exchanges)]

        def ours() -> float:
            return cpu(process, events(tenant.mint(process, size.exchanges)["token"]), 201)

        return compared(ours, lambda: cpu(floor, events(token), 200), size)


def compared(ours: Callable[[], float], floor: Callable[[], float], size: Size) -> dict[str, Any]:
    """The CPU of ours against the floor's, in pairs, one right after the other."""
    pairs = [(ours(), floor()) for _ in range(size.rounds + size.warming_rounds)]
    return {"cpu_ms": Compared.of(pairs[size.warming_rounds :]).document()}


def _beats(process: FunctionProcess, agents: Iterator[Agent], count: int) -> float:
    beating = list(islice(agents, count))
    spent = cpu(process, [agent.beat() for agent in beating], 200)
    answered(beating)
    return spent


def cpu(process: FunctionProcess, events: list[Event], status: int) -> float:
    """The CPU of one of some requests, in milliseconds."""
    return require(process.call(events), status).cpu_ms / len(events)


def as_sent(requests: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """What a recorded request asked of DynamoDB, to be sent again."""
    return [(one["operation"], ast.literal_eval(one["parameters"])) for one in requests]


@dataclass(frozen=True)
class Recording:
    """What an exchange asked of DynamoDB, as its floor repeats it.

    Attributes:
        sent: operations and their parameters.
        created: the keys of the rows that each exchange makes for itself: a repetition needs
            fresh ones. Every row of the transaction is such a row but the token's own.
        token: table and key of the token, which all repetitions spend.
    """

    sent: list[tuple[str, dict[str, Any]]]
    created: list[str]
    token: tuple[str, dict[str, Any]]

    @classmethod
    def of(cls, sent: list[tuple[str, dict[str, Any]]]) -> Recording:
        """Tell the token from the rows that are new.

        Raises:
            ProcessError: the exchange does not spend the token in one transaction and one row.
        """
        transactions = [given for operation, given in sent if operation == "TransactWriteItems"]
        parts = [part for given in transactions for part in given["TransactItems"]]
        updates = [part["Update"] for part in parts if "Update" in part]
        tokens = [one for one in updates if one["TableName"].endswith(_TOKENS)]
        if len(transactions) != 1 or len(tokens) != 1:
            raise ProcessError(
                f"an exchange has {len(transactions)} transactions with {len(tokens)} updates of "
                "tokens; its floor repeats one transaction with one"
            )
        token = tokens[0]
        created = [part["Put"]["Item"]["pk"]["S"] for part in parts if "Put" in part]
        created += [one["Key"]["pk"]["S"] for one in updates if one is not token]
        return cls(sent, created, (token["TableName"], token["Key"]))


def _make_endless(token: tuple[str, dict[str, Any]], database: Any) -> None:  # noqa: ANN401
    """Give a token more uses than its floor's repetitions take."""
    table, key = token
    database.update_item(
        TableName=table,
        Key=key,
        UpdateExpression="SET max_uses = :endless",
        ExpressionAttributeValues={":endless": {"N": "1000000"}},
    )
