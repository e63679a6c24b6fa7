"""Hardware fingerprints in what a host says: which members are one, and how texts are masked.

The agent leaves them out. But whoever holds its key may send what they like, and nothing of that
may come into evidence.
"""

import re

_MACHINE_IDS = ("machineid", "machineidsha256")
# The ends cover what a disk, a board or a system has: `disk_serial`, `product_uuid`.
_FINGERPRINT = re.compile(
    r"macs?"
    r"|.*(macaddr|macaddress|macaddresses|hwaddr|hwaddress|hardwareaddress)"
    r"|.*(serial|serialno|serialnumber|uuid)"
)
# Six pairs and more: an InfiniBand address has twenty.
_ADDRESS = re.compile(r"(?:[0-9a-f]{2}[:-]){5,}[0-9a-f]{2}", re.IGNORECASE)
_MASKED_ADDRESS = "**:**:**:**:**:**"
# Linux names an interface by its address where it knows nothing better: Ethernet, wireless, mobile.
_INTERFACE = re.compile(r"((?:en|wl|ww|sl|ib)x)[0-9a-f]{12}", re.IGNORECASE)
_MASKED_INTERFACE = r"\1************"


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def is_machine_id(name: str) -> bool:
    """Whether a member of this name is a machine id, or its hash, however that is written."""
    return _plain(name) in _MACHINE_IDS


def is_fingerprint(name: str) -> bool:
    """Whether a member of this name tells a piece of hardware from all others."""
    return _FINGERPRINT.fullmatch(_plain(name)) is not None


def machine_ids_first(names: list[str]) -> list[str]:
    """Those of the names that are machine ids, an id before a hash of it."""
    return sorted(filter(is_machine_id, names), key=lambda name: _MACHINE_IDS.index(_plain(name)))


def masked(text: str) -> str:
    """A text without the addresses of interfaces."""
    return _INTERFACE.sub(_MASKED_INTERFACE, _ADDRESS.sub(_MASKED_ADDRESS, text))
