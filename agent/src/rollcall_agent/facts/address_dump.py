"""The addresses of all interfaces, as Linux tells them over netlink.

The standard library has no call for it, and a library that has one costs megabytes of memory in a
process that runs on every host.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Final

_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS: Final = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, interface index
_ATTRIBUTE: Final = struct.Struct("=HH")  # length, type
_GET_ADDRESSES, _NEW_ADDRESS, _END, _ERROR = 22, 20, 3, 2
_REQUEST_DUMP: Final = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
# Of these an address changes by itself, or is not usable (yet, any more).
_TEMPORARY, _FAILED, _DEPRECATED, _TENTATIVE = 0x01, 0x08, 0x20, 0x40
_PASSING: Final = _TEMPORARY | _FAILED | _DEPRECATED | _TENTATIVE
_SECONDS: Final = 2.0
_BLOCK: Final = 65536
_MOST_BLOCKS: Final = 64


def dump() -> bytes:
    """Ask the kernel for all addresses."""
    netlink = getattr(socket, "AF_NETLINK", None)
    if netlink is None:
        return b""
    request = _HEADER.pack(_HEADER.size + _ADDRESS.size, _GET_ADDRESSES, _REQUEST_DUMP, 1, 0)
    content = b""
    with socket.socket(netlink, socket.SOCK_RAW, 0) as kernel:
        kernel.settimeout(_SECONDS)
        kernel.send(request + _ADDRESS.pack(0, 0, 0, 0, 0))
        for _ in range(_MOST_BLOCKS):
            block = kernel.recv(_BLOCK)
            content += block
            if any(kind in {_END, _ERROR} for kind, _ in _messages(block)):
                break
    return content


def lasting_addresses(content: bytes) -> dict[int, list[str]]:
    """Return the addresses that stay, by the index of their interface."""
    found: dict[int, list[str]] = {}
    for kind, body in _messages(content):
        if kind != _NEW_ADDRESS or len(body) < _ADDRESS.size:
            continue
        family, _, flags, _, index = _ADDRESS.unpack_from(body)
        # For IPv4 the first flag means "secondary", which is an address like any other.
        passing = _PASSING & ~_TEMPORARY if family == socket.AF_INET else _PASSING
        address = _address(dict(_attributes(body[_ADDRESS.size :])))
        if address is not None and not flags & passing:
            found.setdefault(index, []).append(address)
    return found


def _address(attributes: dict[int, bytes]) -> str | None:
    # On a point-to-point link IFA_ADDRESS is the other end.
    packed = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS))
    try:
        return str(ipaddress.ip_address(packed)) if packed is not None else None
    except ValueError:
        return None


def _messages(content: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(content):
        length, kind, *_ = _HEADER.unpack_from(content, offset)
        if length < _HEADER.size:
            return
        yield kind, content[offset + _HEADER.size : offset + length]
        offset += _aligned(length)


def _attributes(content: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(content):
        length, kind = _ATTRIBUTE.unpack_from(content, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind, content[offset + _ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
