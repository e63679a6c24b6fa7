"""What a run of the installer leaves on a host, and what a second one does."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.e2e.install_script.control_plane import CHECK, VERSION, ControlPlane
from tests.e2e.install_script.host import INSTALLED, TOKEN, Host


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_host_is_enrolled_and_proves_a_heartbeat(host: Host, plane: ControlPlane) -> None:
    result = host.install()
    assert result.returncode == 0, result.stderr
    assert "agt_1 is online" in result.stdout
    assert plane.key.fingerprint in result.stdout
    assert f"Start the agent with: {host.binary} run --config {host.config}" in result.stdout
    assert host.program.read_bytes() == plane.binary
    assert (mode(host.binary), mode(host.program)) == (0o755, 0o755)
    assert (mode(host.config.parent), mode(host.state), mode(host.config)) == (0o700, 0o700, 0o600)
    assert mode(host.binary.parent) == 0o755
    assert host.calls() == [
        f"enroll --config {host.config} --url {plane.url} --token-stdin",
        f"run --once --config {host.config}",
    ]
    assert host.spent() == [TOKEN]
    assert host.settings()["ROLLCALL_RELEASE_KEY_SHA256"] == plane.key.fingerprint
    assert list(host.temporary.iterdir()) == []
    assert host.programs() == INSTALLED
    assert host.left_in_state() == []
    assert (mode(host.unpacking), mode(host.unpacking_commands)) == (0o700, 0o700)


def test_the_binary_comes_with_the_platform_and_the_manifests_version(
    host: Host, plane: ControlPlane
) -> None:
    assert host.install().returncode == 0
    assert plane.asked[:2] == [f"/dev{CHECK}", "/dev/agent/manifest"]
    assert plane.asked[2] in {
        f"/dev/agent/binary?os=linux&arch={arch}&version={VERSION}" for arch in ("x86_64", "arm64")
    }
    assert plane.asked[3] == "/bucket?signed=1"


def test_on_an_enrolled_host_nothing_is_changed(host: Host, plane: ControlPlane) -> None:
    assert host.install().returncode == 0
    before = host.config.read_bytes()
    plane.served = plane.binary = plane.binary + b"# newer\n"
    plane.publish("2.0.0")
    asked = list(plane.asked)
    again = host.install(token=None)
    assert again.returncode == 0
    assert "enrolled already as agt_1; nothing was changed" in again.stdout
    assert plane.asked == asked
    assert host.program.read_bytes() != plane.binary
    assert host.config.read_bytes() == before
    assert host.commands() == ["enroll", "run"]


def test_a_host_that_is_enrolled_elsewhere_is_told_where_and_left_alone(host: Host) -> None:
    assert host.install().returncode == 0
    with host.config.open("a") as file:
        file.write("ROLLCALL_API_BASE_URL=https://cp.example/prod\n")
    before = host.config.read_bytes()
    again = host.install(token=None)
    assert again.returncode == 0
    assert "enrolled already as agt_1 at https://cp.example/prod, not at http://" in again.stdout
    assert host.config.read_bytes() == before
    assert host.commands() == ["enroll", "run"]


def test_of_a_former_agent_the_enrollment_alone_speaks(host: Host) -> None:
    assert host.install().returncode == 0
    told = host.root / "fake/told"
    assert told.read_text() == "1\n"
    host.binary.unlink()
    assert host.install(token=None).returncode == 0
    assert told.read_text() == "0\n"


@pytest.mark.parametrize("name", ["ROLLCALL_FORCE_REENROLL", "RM_FORCE_REENROLL"])
def test_a_new_identity_is_given_where_that_is_forced(host: Host, name: str) -> None:
    assert host.install().returncode == 0
    again = host.install(token=f"{TOKEN}-second", **{name: "1"})
    assert again.returncode == 0, again.stderr
    assert "agt_2 is online" in again.stdout
    assert "--replace" in host.calls()[2]
    assert len(host.spent()) == 2


def test_a_removed_agent_is_put_back_without_a_token(host: Host) -> None:
    assert host.install().returncode == 0
    host.binary.unlink()
    again = host.install(token=None)
    assert again.returncode == 0, again.stderr
    assert host.binary.exists()
    assert host.commands() == ["enroll", "run", "run"]


def test_an_asked_version_is_asked_for_and_must_be_the_one_that_comes(
    host: Host, plane: ControlPlane
) -> None:
    refused = host.install(ROLLCALL_AGENT_VERSION="1.0.0")
    assert refused.returncode == 1
    assert "another version" in refused.stderr
    assert plane.downloads() == ["/dev/agent/manifest?version=1.0.0"]
    plane.publish("1.0.0+local")
    assert host.install(ROLLCALL_AGENT_VERSION="1.0.0+local").returncode == 0
    assert plane.downloads()[1] == "/dev/agent/manifest?version=1.0.0%2Blocal"


def test_open_folders_are_closed_and_stricter_ones_kept(host: Host) -> None:
    host.config.parent.mkdir(parents=True)
    host.config.parent.chmod(0o755)
    host.state.mkdir(parents=True)
    host.state.chmod(0o500)
    host.config.write_text("# mine\nFLEET=blue")
    host.config.chmod(0o644)
    result = host.install()
    assert result.returncode in {0, 1}
    assert (mode(host.config.parent), mode(host.config)) == (0o700, 0o600)
    assert mode(host.state) == 0o500
    assert f"{host.config.parent} was open to others" in result.stderr
    lines = host.config.read_text().splitlines()
    assert lines[:2] == ["# mine", "FLEET=blue"]


@pytest.mark.parametrize("machine", ["Linux riscv64", "FreeBSD amd64"])
def test_other_platforms_are_told_so(host: Host, plane: ControlPlane, machine: str) -> None:
    uname = host.write("shims/uname", f"#!/bin/sh\necho {machine}\n")
    uname.chmod(0o755)
    path = f"{uname.parent}:{host.environment({})['PATH']}"
    result = host.install(PATH=path)
    assert result.returncode == 1
    assert "there is no agent for" in result.stderr
    assert plane.asked == []


@pytest.mark.parametrize(
    ("machine", "platform"),
    [("Darwin arm64", "os=darwin&arch=arm64"), ("Linux aarch64", "os=linux&arch=arm64"),
     ("Linux amd64", "os=linux&arch=x86_64")],
)  # fmt: skip
def test_each_name_of_a_platform_is_understood(
    host: Host, plane: ControlPlane, machine: str, platform: str
) -> None:
    uname = host.write("shims/uname", f"#!/bin/sh\necho {machine}\n")
    uname.chmod(0o755)
    path = f"{uname.parent}:{host.environment({})['PATH']}"
    # The loader of the other architecture is not on the machine of the tests.
    script = plane.script().replace("/lib/ld-linux-aarch64.so.1", "/")
    assert host.install(script=script, PATH=path).returncode == 0
    assert platform in plane.downloads()[1]


@pytest.mark.parametrize("missing", ["curl", "openssl"])
def test_a_missing_program_is_named(host: Host, plane: ControlPlane, missing: str) -> None:
    folder = host.root / "programs"
    folder.mkdir()
    for place in host.environment({})["PATH"].split(":"):
        for program in Path(place).glob("*"):
            if program.name != missing and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    result = host.install(PATH=str(folder))
    assert result.returncode == 1
    assert f"{missing} is not installed" in result.stderr
    assert plane.asked == []


def test_without_root_and_prefix_nothing_is_tried(host: Host, plane: ControlPlane) -> None:
    script = plane.script().replace('"$EUID"', "1000")
    result = host.install(script=script, ROLLCALL_PREFIX="")
    assert result.returncode == 2
    assert "needs root" in result.stderr
    assert plane.asked == []


def test_a_new_token_gives_a_new_identity_also_where_the_last_run_did_not_end_well(
    host: Host,
) -> None:
    host.fake("run.exit").write_text("6\n")
    assert host.install().returncode == 6
    forced = {"ROLLCALL_FORCE_REENROLL": "1"}
    assert host.install(token="rce_second", **forced).returncode == 6
    host.fake("run.exit").unlink()
    third = host.install(token="rce_third", **forced)
    assert third.returncode == 0, third.stderr
    assert "agt_3 is online" in third.stdout
    assert host.spent() == [TOKEN, "rce_second", "rce_third"]


def test_a_file_with_a_key_and_no_id_is_no_identity(host: Host) -> None:
    # What a sensor of an older system has, and what the agent itself takes for none.
    host.config.parent.mkdir(parents=True, mode=0o700)
    host.config.write_text("SENSOR_ID=sensor-1\nSENSOR_TOKEN=durable-token\n")
    result = host.install()
    assert result.returncode == 0, result.stderr
    assert host.commands() == ["enroll", "run"]
    assert "--replace" not in host.calls()[0]


def test_a_number_with_a_leading_zero_is_decimal(host: Host) -> None:
    assert host.install(ROLLCALL_WAIT_SECONDS="08").returncode == 0


def test_the_agent_unpacks_itself_where_programs_may_run(host: Host) -> None:
    assert host.install().returncode == 0
    environment = host.fake("environment").read_text().splitlines()
    assert f"TMPDIR={host.unpacking_commands}" in environment


@pytest.mark.parametrize("at", ["local/bin", "tmp/commands"])
def test_a_place_where_no_program_may_run_is_named(host: Host, at: str) -> None:
    # What a mount with noexec does to a program: it cannot be run, whatever its mode is.
    host.fake("version.exit").write_text("1\n")
    chmod = host.write(
        "shims/chmod",
        f'#!/bin/sh\ncase "$*" in "0700 "*/{at}/*) exit ;; esac\n'
        'PATH=/usr/bin:/bin exec chmod "$@"\n',
    )
    chmod.chmod(0o755)
    result = host.install(PATH=f"{chmod.parent}:{host.environment({})['PATH']}")
    assert result.returncode == 1
    place = host.binary.parent if at == "local/bin" else host.unpacking_commands
    assert f"no program can be run in {place}: it is probably mounted noexec" in result.stderr
    assert host.programs() == []
    assert list(host.unpacking_commands.iterdir()) == []


def test_a_binary_that_does_not_run_is_not_installed(host: Host) -> None:
    host.fake("version.exit").write_text("1\n")
    result = host.install()
    assert result.returncode == 1
    assert "does not run on this host" in result.stderr
    assert list(host.binary.parent.iterdir()) == []
    assert host.calls() == []
