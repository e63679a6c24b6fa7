"""MiniStack: DynamoDB with real transactions, conditions, streams and expiry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.engines.engine import Engine, Launch, installed, running

_PROGRAM = Path(__file__).with_name("ministack_program.py")


@contextmanager
def ministack(
    run_dir: Path,
    services: Sequence[str] = ("dynamodb", "dynamodbstreams"),
    *,
    expiry_pause: float | None = None,
) -> Iterator[Engine]:
    """MiniStack on a free loopback port.

    Args:
        run_dir: a folder of its own is made in it, and removed.
        services: what it serves.
        expiry_pause: seconds between its looks for expired rows; its own are 60.

    Raises:
        EngineError: it does not start.
    """
    python = installed("ministack", "bin", "python")
    expiry = {} if expiry_pause is None else {"EXPIRY_PAUSE_SECONDS": str(expiry_pause)}
    launch = Launch(
        name="MiniStack",
        ports=1,
        command=lambda _: [str(python), "-I", str(_PROGRAM)],
        environ=lambda ports: {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(ports[0]),
            "SERVICES": ",".join(services),
            "LOG_LEVEL": "WARNING",
            **expiry,
        },
        health="/_ministack/ready",
    )
    with running(launch, run_dir / "ministack") as engine:
        yield engine
