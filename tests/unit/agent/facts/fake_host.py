"""A host that is a folder of files and a few answers."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollcall_agent.facts.host import Host
from rollcall_agent.facts.outbound import Target


def fails(*_: object, **__: object) -> Any:
    raise OSError("not here")


def host(root: Path, environment: Mapping[str, str] | None = None, **changed: Any) -> Host:
    """A Linux host of which nothing is known but what the test says."""
    bare = Host(
        environment=environment or {},
        root=root,
        platform="linux",
        hostname=fails,
        system=lambda: "Linux",
        machine=lambda: "x86_64",
        kernel=lambda: "6.1.0",
        cores=lambda: 8,
        zone=lambda: "CET",
        connected=fails,
        addresses=fails,
        capacity=lambda _: 1_000,
        psutil=fails,
    )
    return replace(bare, **changed)


def put(root: Path, path: str, text: str = "") -> Path:
    """Write a file below the root."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def interface(
    root: Path,
    name: str,
    index: int,
    *,
    device: bool = True,
    flags: str = "0x1003",
    sent: int = 10,
    received: int = 20,
) -> None:
    """Put an interface under /sys/class/net."""
    folder = f"/sys/class/net/{name}"
    put(root, f"{folder}/ifindex", f"{index}\n")
    put(root, f"{folder}/type", "1\n")
    put(root, f"{folder}/flags", f"{flags}\n")
    put(root, f"{folder}/address", "00:11:22:33:44:55\n")
    put(root, f"{folder}/statistics/tx_bytes", f"{sent}\n")
    put(root, f"{folder}/statistics/rx_bytes", f"{received}\n")
    if device:
        (root / folder.lstrip("/") / "device").mkdir()


def routed(address: str, family: int = socket.AF_INET) -> Any:
    """The kernel's choice of an address, for one family only."""

    def connected(target: Target) -> str:
        if target[0] != family:
            raise OSError("no route")
        return address

    return connected


def dumped(*addresses: tuple[int, str, int]) -> bytes:
    """A dump of addresses as the kernel writes it: index, address, flags."""
    content = b"".join(_message(20, _body(*one)) for one in addresses)
    return content + _message(3, struct.pack("=I", 0))


def _body(index: int, address: str, flags: int) -> bytes:
    packed = ipaddress.ip_address(address).packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    body = struct.pack("=BBBBI", family, 24, flags, 0, index)
    return body + _attribute(1, packed)


def _attribute(kind: int, content: bytes) -> bytes:
    length = 4 + len(content)
    return struct.pack("=HH", length, kind) + content + b"\0" * (-length % 4)


def _message(kind: int, body: bytes) -> bytes:
    length = 16 + len(body)
    return struct.pack("=IHHII", length, kind, 2, 1, 0) + body + b"\0" * (-length % 4)
