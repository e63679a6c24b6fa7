"""MiniStack: DynamoDB with real transactions, conditions, streams and expiry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.engines.engine import Engine, Launch, installed, running


@contextmanager
def ministack(
    run_dir: Path, services: Sequence[str] = ("dynamodb", "dynamodbstreams")
) -> Iterator[Engine]:
    """MiniStack on a free loopback port.

    Args:
        run_dir: a folder of its own is made in it, and removed.
        services: what it serves.

    Raises:
        EngineError: it does not start.
    """
    program = installed("ministack", "bin", "ministack")
    launch = Launch(
        name="MiniStack",
        ports=1,
        command=lambda _: [str(program)],
        environ=lambda ports: {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(ports[0]),
            "SERVICES": ",".join(services),
            "LOG_LEVEL": "WARNING",
        },
        health="/_ministack/ready",
    )
    with running(launch, run_dir / "ministack") as engine:
        yield engine
