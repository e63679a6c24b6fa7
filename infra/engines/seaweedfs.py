"""SeaweedFS: S3 that checks signatures, expiry, policies and checksums."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.engines.engine import Engine, Launch, installed, running

ACCESS_KEY = "emulated"
SECRET_KEY = "emulated"  # noqa: S105 - of an account that exists on loopback for some minutes
_LISTENERS = ("s3", "master", "volume", "filer")


@contextmanager
def seaweedfs(run_dir: Path) -> Iterator[Engine]:
    """SeaweedFS's S3 on a free loopback port; its other services have ports of their own.

    Args:
        run_dir: a folder of its own is made in it, and removed.

    Raises:
        EngineError: it does not start.
    """
    program = installed("seaweedfs", "bin", "weed")
    folder = run_dir / "seaweedfs"
    taken: list[int] = []

    def command(ports: Sequence[int]) -> list[str]:
        taken.extend(ports)
        return [str(program), "-logtostderr", *_arguments(ports, folder)]

    launch = Launch(
        name="SeaweedFS",
        ports=2 * len(_LISTENERS),
        command=command,
        environ=lambda _: {"HOME": str(folder)},
        health="/healthz",
    )
    try:
        with running(launch, folder) as engine:
            yield engine
    finally:
        _remove_sockets(taken)


def _remove_sockets(ports: Sequence[int]) -> None:
    """Take away what it leaves in /tmp, whatever TMPDIR says: sockets named by port."""
    for port in ports:
        for left in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
            left.unlink(missing_ok=True)


_SOCKETS = Path("/tmp")  # noqa: S108 - it is the program that chose the place


def _arguments(ports: Sequence[int], folder: Path) -> list[str]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    identities = folder / "identities.json"
    identities.write_text(json.dumps(_IDENTITIES), "utf-8")
    listeners = [
        argument
        for index, name in enumerate(_LISTENERS)
        for argument in (
            f"-{name}.port={ports[2 * index]}",
            f"-{name}.port.grpc={ports[2 * index + 1]}",
        )
    ]
    return [
        *("server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}"),
        *("-filer", "-s3", "-s3.iam=false", f"-s3.config={identities}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
        *("-volume.max=20", "-master.volumeSizeLimitMB=64", *listeners),
    ]


_IDENTITIES = {
    "identities": [
        {
            "name": "rollcall",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}
