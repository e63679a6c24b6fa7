"""Names of host and system: each fallback of the documented sensor, one by one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rollcall_agent import __version__
from rollcall_agent.env_file import EnvFile
from rollcall_agent.facts import at_exchange, configured, machine_id, names
from rollcall_agent.facts.interface_names import shown_names
from rollcall_agent.facts.of_settings import described_by
from rollcall_agent.settings import Settings

from tests.unit.agent.facts.fake_host import fails, host, put

OS_RELEASE = 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04 LTS"\n'


def test_the_hostname_is_read_from_the_file_that_the_setting_names(tmp_path: Path) -> None:
    named = put(tmp_path, "/elsewhere/name", "sensor-ubuntu-host\n")
    put(tmp_path, "/host-hostname", "other")
    found = host(tmp_path, {"HOST_HOSTNAME_FILE": str(named)}, hostname=lambda: "4f2a9c0d1e")
    assert names.hostname(found) == "sensor-ubuntu-host"


def test_the_hostname_is_read_from_the_usual_bind_mounted_file(tmp_path: Path) -> None:
    put(tmp_path, "/host-hostname", "sensor-ubuntu-host\n")
    assert names.hostname(host(tmp_path, hostname=lambda: "4f2a9c0d1e")) == "sensor-ubuntu-host"


@pytest.mark.parametrize("text", [None, "", " \n", "...", "(none)", "localhost", "# named later\n"])
def test_without_a_usable_file_the_hostname_is_the_systems(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        put(tmp_path, "/host-hostname", text)
    assert names.hostname(host(tmp_path, hostname=lambda: "web-1")) == "web-1"


def test_of_the_file_the_first_name_counts(tmp_path: Path) -> None:
    put(tmp_path, "/host-hostname", "# ours\n\n web-1.example.com. \nother\n")
    assert names.hostname(host(tmp_path)) == "web-1.example.com"


def test_a_folder_in_the_place_of_the_file_is_no_hostname(tmp_path: Path) -> None:
    # A container engine makes one where the file to be mounted does not exist.
    (tmp_path / "host-hostname").mkdir()
    assert names.hostname(host(tmp_path, hostname=lambda: "web-1")) == "web-1"


NAMELESS = [
    fails, lambda: "", lambda: " . ", lambda: "(none)", lambda: "localhost",
    lambda: "localhost.localdomain", lambda: "Localhost.", lambda: "unknown",
]  # fmt: skip


@pytest.mark.parametrize("system", NAMELESS)
def test_hosts_without_a_name_are_told_apart_by_their_machine(
    tmp_path: Path, system: Callable[[], str]
) -> None:
    found = set()
    for machine in ("feed", "beef"):
        put(tmp_path, "/etc/machine-id", machine)
        name = names.hostname(host(tmp_path, hostname=system))
        assert re.fullmatch(r"(host|[Ll]ocalhost|unknown)-[0-9a-f]{8}", name)
        assert names.hostname(host(tmp_path, hostname=system)) == name
        hashed = machine_id.hashed(host(tmp_path))
        assert hashed is not None
        assert name[-8:] not in hashed
        found.add(name)
    assert len(found) == 2


@pytest.mark.parametrize("system", [fails, lambda: "", lambda: "(none)"])
def test_the_last_resort_is_an_unknown_hostname(tmp_path: Path, system: object) -> None:
    assert names.hostname(host(tmp_path, hostname=system)) == "unknown"


def test_the_os_is_the_pretty_name_of_the_file_that_the_setting_names(tmp_path: Path) -> None:
    named = put(tmp_path, "/elsewhere/os-release", OS_RELEASE)
    put(tmp_path, "/etc/os-release", "PRETTY_NAME=Alpine\n")
    assert names.os_name(host(tmp_path, {"HOST_OS_RELEASE_FILE": str(named)})) == "Ubuntu 24.04 LTS"


def test_the_os_is_the_pretty_name_of_the_usual_bind_mounted_file(tmp_path: Path) -> None:
    put(tmp_path, "/host-os-release", OS_RELEASE)
    put(tmp_path, "/etc/os-release", "PRETTY_NAME=Alpine\n")
    assert names.os_name(host(tmp_path)) == "Ubuntu 24.04 LTS"


@pytest.mark.parametrize("text", [None, "", "NAME=Ubuntu\n", 'PRETTY_NAME=""\n'])
def test_without_a_bind_mounted_name_the_os_is_the_local_one(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        put(tmp_path, "/host-os-release", text)
    put(tmp_path, "/etc/os-release", "PRETTY_NAME='Alpine Linux v3.20'\n")
    assert names.os_name(host(tmp_path)) == "Alpine Linux v3.20"


def test_the_last_resort_is_the_systems_name(tmp_path: Path) -> None:
    assert names.os_name(host(tmp_path)) == "linux"


def test_a_name_holds_no_control_characters_and_is_bounded(tmp_path: Path) -> None:
    put(tmp_path, "/etc/os-release", f"PRETTY_NAME=A\x1b[31m\tB{'c' * 300}\n")
    name = names.os_name(host(tmp_path))
    assert name.startswith("A[31m B")
    assert len(name) == 128


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("amd64", "x86_64"),
        ("AMD64", "x86_64"),
        ("x86_64", "x86_64"),
        ("arm64", "arm64"),
        ("aarch64", "arm64"),
        ("riscv64", "riscv64"),
    ],
)
def test_architectures_have_one_name_each(machine: str, name: str) -> None:
    assert names.architecture(machine) == name


@pytest.mark.parametrize(
    ("environment", "port"),
    [
        ({}, 22),
        ({"SENSOR_PORT": "2222"}, 2222),
        ({"SENSOR_PORT": "2222", "ROLLCALL_SSH_PORT": "2022"}, 2022),
        ({"SENSOR_PORT": "2222", "ROLLCALL_SSH_PORT": "ssh"}, 2222),
        ({"SENSOR_PORT": "0"}, 22),
        ({"SENSOR_PORT": "65536"}, 22),
        ({"SENSOR_PORT": "٢٢"}, 22),
    ],
)
def test_the_ssh_port_is_the_configured_one_or_the_usual(
    tmp_path: Path, environment: dict[str, str], port: int
) -> None:
    assert configured.ssh_port(host(tmp_path, environment)) == port


def test_the_administrator_is_named_by_the_environment_alone(tmp_path: Path) -> None:
    assert configured.collect(host(tmp_path))["admin_user"] == ""
    named = configured.collect(host(tmp_path, {"ROLLCALL_ADMIN_USER": "sensor\nadmin"}))
    assert named["admin_user"] == "sensor admin"


def test_the_machine_id_is_hashed_on_the_host(tmp_path: Path) -> None:
    put(tmp_path, "/etc/machine-id", "0123456789abcdef\n")
    expected = hashlib.sha256(b"0123456789abcdef").hexdigest()
    assert machine_id.hashed(host(tmp_path)) == expected


@pytest.mark.parametrize("text", [None, "", "uninitialized\n"])
def test_without_a_machine_id_the_one_of_dbus_counts(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        put(tmp_path, "/etc/machine-id", text)
    assert machine_id.hashed(host(tmp_path)) is None
    put(tmp_path, "/var/lib/dbus/machine-id", "feed\n")
    assert machine_id.hashed(host(tmp_path)) == hashlib.sha256(b"feed").hexdigest()


def test_with_an_exchange_go_the_names_and_the_hashed_machine_id(tmp_path: Path) -> None:
    put(tmp_path, "/host-hostname", "web-1")
    put(tmp_path, "/host-os-release", OS_RELEASE)
    put(tmp_path, "/etc/machine-id", "feed")
    assert at_exchange.collect(host(tmp_path, machine=lambda: "aarch64")) == {
        "hostname": "web-1",
        "os": "Ubuntu 24.04 LTS",
        "arch": "arm64",
        "agent_version": __version__,
        "machine_id": hashlib.sha256(b"feed").hexdigest(),
    }


def test_what_is_not_known_at_an_exchange_is_left_out_or_has_a_fallback(tmp_path: Path) -> None:
    facts = at_exchange.collect(host(tmp_path, machine=lambda: ""))
    assert facts == {"hostname": "unknown", "os": "linux", "agent_version": __version__}


def test_what_the_env_file_says_of_the_host_counts_where_the_environment_is_silent(
    tmp_path: Path,
) -> None:
    name_file = put(tmp_path, "/mounted/hostname", "web-7\n")
    text = f"HOST_HOSTNAME_FILE={name_file}\nSENSOR_PORT=2222\nROLLCALL_ADMIN_USER=sensoradmin\n"
    environment = {"SENSOR_PORT": "2200", "container": "lxc"}
    settings = Settings(tmp_path / "agent.env", environment, EnvFile(text))

    found = described_by(settings.value, environment)

    assert names.hostname(found) == "web-7"
    assert configured.ssh_port(found) == 2200
    assert configured.collect(found)["admin_user"] == "sensoradmin"
    assert found.environment["container"] == "lxc"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("enx001122334455", "enx-1"), ("enx00112233445f.100", "enx-1.100"),
        ("br-enx00112233445f", "br-enx-1"), ("ENX00112233445F", "enx-1"),
        ("wlx00112233445f@if2", "wlx-1@if2"), ("lan-aabbccddeeff", "lan-mac-1"),
        ("eth.aa-bb-cc-dd-ee-ff", "eth.mac-1"), ("br-1a2b3c4d5e6f", "br-1a2b3c4d5e6f"),
        ("enp0s31f6", "enp0s31f6"), ("eth0", "eth0"), ("veth1a2b3c4", "veth1a2b3c4"),
    ],
)  # fmt: skip
def test_no_address_stays_in_the_name_of_an_interface(name: str, shown: str) -> None:
    assert shown_names([name]) == {name: shown}
