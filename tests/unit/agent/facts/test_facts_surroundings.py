"""Container, hypervisor and cloud: told from files alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from rollcall_agent.facts import clouds, containers

from tests.unit.agent.facts.fake_host import host, put

DMI = "/sys/class/dmi/id"


def test_without_any_sign_there_is_no_container(tmp_path: Path) -> None:
    put(tmp_path, "/proc/1/cgroup", "0::/init.scope\n")
    assert containers.container(host(tmp_path)) == "none"


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("/.dockerenv", "", "docker"),
        ("/run/.containerenv", "", "podman"),
        ("/run/systemd/container", "systemd-nspawn\n", "nspawn"),
        ("/proc/1/environ", "PATH=/bin\0container=lxc\0HOME=/", "lxc"),
        ("/proc/1/cgroup", "12:cpu:/docker/0123\n", "docker"),
        ("/proc/1/cgroup", "12:cpu:/lxc/web\n", "lxc"),
        ("/proc/1/cgroup", "0::/machine.slice/libpod-0123.scope\n", "podman"),
        ("/proc/1/cgroup", "12:cpu:/kubepods/besteffort/pod1/0123\n", "kubernetes"),
        ("/var/run/secrets/kubernetes.io/serviceaccount/namespace", "default", "kubernetes"),
    ],
)
def test_each_sign_names_its_container(tmp_path: Path, path: str, text: str, name: str) -> None:
    put(tmp_path, path, text)
    assert containers.container(host(tmp_path)) == name


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"container": "podman"}, "podman"),
        ({"container": "lxc"}, "lxc"),
        ({"container": "something else"}, "none"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
    ],
)
def test_the_environment_names_the_container(
    tmp_path: Path, environment: dict[str, str], name: str
) -> None:
    assert containers.container(host(tmp_path, environment)) == name


def test_a_pods_container_is_told_as_kubernetes_whatever_runs_it(tmp_path: Path) -> None:
    put(tmp_path, "/.dockerenv")
    put(tmp_path, "/proc/1/cgroup", "12:cpu:/kubepods/pod1/0123\n")
    assert containers.container(host(tmp_path)) == "kubernetes"


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"sys_vendor": "Amazon EC2", "product_name": "m5.large"}, ("kvm", "aws")),
        ({"sys_vendor": "Amazon EC2", "product_name": "m5.metal"}, ("none", "aws")),
        ({"sys_vendor": "Xen", "bios_version": "4.2.amazon"}, ("xen", "aws")),
        ({"sys_vendor": "Google", "product_name": "Google Compute Engine"}, ("kvm", "gcp")),
        (
            {
                "sys_vendor": "Microsoft Corporation",
                "product_name": "Virtual Machine",
                "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77",
            },
            ("hyperv", "azure"),
        ),
        (
            {"sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine"},
            ("hyperv", None),
        ),
        ({"sys_vendor": "DigitalOcean", "product_name": "Droplet"}, ("kvm", "digitalocean")),
        ({"sys_vendor": "Hetzner", "product_name": "vServer"}, ("kvm", "hetzner")),
        ({"sys_vendor": "VMware, Inc.", "product_name": "VMware20,1"}, ("vmware", None)),
        ({"sys_vendor": "QEMU", "product_name": "Standard PC"}, ("kvm", None)),
        ({"sys_vendor": "innotek GmbH", "product_name": "VirtualBox"}, ("virtualbox", None)),
        ({"sys_vendor": "Dell Inc.", "product_name": "PowerEdge R640"}, ("none", None)),
    ],
)
def test_the_firmwares_tables_tell_hypervisor_and_cloud(
    tmp_path: Path, tables: dict[str, str], told: tuple[str, str | None]
) -> None:
    for name, text in tables.items():
        put(tmp_path, f"{DMI}/{name}", f"{text}\n")
    found = clouds.collect(host(tmp_path))
    assert (found.get("virtualization"), found.get("cloud")) == told


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("/sys/hypervisor/type", "xen\n", {"virtualization": "xen"}),
        ("/proc/device-tree/hypervisor/compatible", "linux,kvm\0", {"virtualization": "kvm"}),
        ("/proc/cpuinfo", "flags : fpu hypervisor lahf_lm\n", {"virtualization": "other"}),
        ("/proc/cpuinfo", "flags : fpu\n", {}),
    ],
)
def test_without_tables_the_kernel_tells_of_a_hypervisor(
    tmp_path: Path, path: str, text: str, told: dict[str, str]
) -> None:
    put(tmp_path, path, text)
    assert clouds.collect(host(tmp_path)) == told


def test_serial_numbers_are_not_read(tmp_path: Path) -> None:
    put(tmp_path, f"{DMI}/sys_vendor", "Dell Inc.\n")
    put(tmp_path, f"{DMI}/product_serial", "VMware QEMU Amazon EC2\n")
    put(tmp_path, f"{DMI}/product_uuid", "ec2\n")
    assert clouds.collect(host(tmp_path)) == {"virtualization": "none"}
