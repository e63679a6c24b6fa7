"""On what the host runs: a hypervisor, a cloud. Read from the firmware's tables, without asking.

No serial number is read, and no metadata service is called: its answer may hold credentials, and
a request to a link-local address is a surprise in a network that logs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rollcall_agent.facts.host import Host
from rollcall_agent.facts.texts import known

_DMI: Final = "/sys/class/dmi/id"
_FILES: Final = ("sys_vendor", "product_name", "bios_vendor", "bios_version", "chassis_asset_tag")
NONE, OTHER = "none", "other"


@dataclass(frozen=True)
class _Mark:
    """What a cloud or a hypervisor writes into the firmware's tables."""

    text: str
    cloud: str | None
    virtualization: str
    files: tuple[str, ...] = ("sys_vendor", "product_name", "bios_vendor")


# A fixed tag that Azure gives to all machines; the tags of real chassis are never looked for.
_AZURE_TAG: Final = "7783-7084-3265-9085-8269-3286-77"
_MARKS: Final = (
    _Mark("amazon ec2", "aws", "kvm"),
    _Mark("amazon", "aws", "xen", ("bios_version",)),
    _Mark("google compute engine", "gcp", "kvm"),
    _Mark(_AZURE_TAG, "azure", "hyperv", ("chassis_asset_tag",)),
    _Mark("oraclecloud.com", "oracle", "kvm", ("chassis_asset_tag",)),
    _Mark("digitalocean", "digitalocean", "kvm"),
    _Mark("hetzner", "hetzner", "kvm"),
    _Mark("alibaba cloud", "alibaba", "kvm"),
    _Mark("tencent cloud", "tencent", "kvm"),
    _Mark("akamai", "linode", "kvm"),
    _Mark("linode", "linode", "kvm"),
    _Mark("scaleway", "scaleway", "kvm"),
    _Mark("vultr", "vultr", "kvm"),
    _Mark("openstack", "openstack", "kvm"),
    _Mark("vmware", None, "vmware"),
    _Mark("virtualbox", None, "virtualbox"),
    _Mark("innotek", None, "virtualbox"),
    _Mark("parallels", None, "parallels"),
    _Mark("bhyve", None, "bhyve"),
    _Mark("virtual machine", None, "hyperv", ("product_name",)),
    _Mark("hvm domu", None, "xen"),
    _Mark("xen", None, "xen", ("sys_vendor", "bios_vendor")),
    _Mark("kvm", None, "kvm", ("product_name",)),
    _Mark("qemu", None, "kvm"),
    _Mark("apple virtualization", None, "apple"),
)


def collect(host: Host) -> dict[str, object]:
    """Return hypervisor and cloud, as far as they can be told."""
    if not host.is_linux:
        return {}
    tables = {name: host.text(f"{_DMI}/{name}").strip().lower() for name in _FILES}
    mark = next((mark for mark in _MARKS if _shows(tables, mark)), None)
    virtualization = mark.virtualization if mark else _by_kernel(host, told=any(tables.values()))
    if mark and tables["product_name"].endswith(".metal"):
        virtualization = NONE
    return known({"virtualization": virtualization, "cloud": mark.cloud if mark else None})


def _shows(tables: dict[str, str], mark: _Mark) -> bool:
    return any(mark.text in tables[name] for name in mark.files)


def _by_kernel(host: Host, *, told: bool) -> str | None:
    """Tell a hypervisor without tables of its own (a small virtual machine, an ARM host)."""
    if "xen" in host.text("/sys/hypervisor/type"):
        return "xen"
    if "kvm" in host.text("/proc/device-tree/hypervisor/compatible"):
        return "kvm"
    if " hypervisor" in host.text("/proc/cpuinfo"):
        return OTHER
    # Without tables silence says nothing.
    return NONE if told else None
