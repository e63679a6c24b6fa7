"""What cannot succeed fails before the token is spent, and most of it before anything is sent."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.e2e.install_script.control_plane import ControlPlane
from tests.e2e.install_script.host import SLOWEST, TOKEN, Host, altered, text_of

SHELLS = ["dash", "busybox sh", "zsh", "mksh"]


def shim(host: Host, name: str, lines: str) -> str:
    """Put a program in front of the real one; return the PATH for it."""
    host.write(f"shims/{name}", f"#!/bin/sh\n{lines}\n").chmod(0o755)
    return f"{host.root}/shims:{host.environment({})['PATH']}"


def untouched(host: Host) -> bool:
    return not host.binary.parent.exists() and not host.config.exists() and host.calls() == []


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "advice"),
    [
        (410, "token_spent", 3, "have a fresh one minted"),
        (410, "token_expired", 3, "have a fresh one minted"),
        (410, "token_revoked", 3, "have a fresh one minted"),
        (401, "credential_invalid", 3, "was copied whole"),
        (403, "host_not_admitted", 3, "ask an operator"),
        (409, "environment_closed", 3, "ask an operator"),
        (400, "body_invalid", 3, "correct what is named"),
        (503, "unavailable", 4, "with the same token"),
        (429, "too_many", 4, "with the same token"),
    ],
)
def test_a_token_that_would_be_refused_ends_the_run_before_the_download(
    host: Host, plane: ControlPlane, status: int, code: str, exit_code: int, advice: str
) -> None:
    plane.refuse(status, code, "It is so.")
    result = host.install()
    assert result.returncode == exit_code
    assert code in result.stderr
    assert advice in result.stderr
    assert TOKEN not in text_of(result)
    assert plane.downloads() == []
    assert untouched(host)


@pytest.mark.parametrize(
    ("name", "exit_code"),
    [
        ("web-1", 3),
        ("web-1.", 0),
        ("b\u00fccher", 0),
        ("localhost", 0),
        ("localhost.localdomain", 0),
    ],
)
def test_a_token_of_another_host_is_refused_where_this_ones_name_is_sure(
    host: Host, plane: ControlPlane, name: str, exit_code: int
) -> None:
    plane.refuse(403, "hostname_mismatch", "It is so.")
    lines = f'[ "$1" = -n ] && {{ echo {name}; exit; }}\nPATH=/usr/bin:/bin exec uname "$@"'
    result = host.install(PATH=shim(host, "uname", lines))
    assert result.returncode == exit_code, text_of(result)


@pytest.mark.parametrize("option", ["--name=", "--url=", "--token-file=", "--label="])
def test_an_option_without_its_value_is_named(host: Host, option: str) -> None:
    result = host.install(option)
    assert (result.returncode, host.calls()) == (2, [])
    assert f"{option[:-1]} needs a value." in result.stderr


@pytest.mark.parametrize("body", [b"{}", b"<html>welcome</html>", b'{"admits": false}', b""])
def test_what_answers_and_admits_nothing_is_not_the_control_plane(
    host: Host, plane: ControlPlane, body: bytes
) -> None:
    plane.check = (200, body)
    assert host.install().returncode == 1
    assert plane.downloads() == []


def test_an_older_control_plane_is_not_asked(host: Host, plane: ControlPlane) -> None:
    plane.refuse(404, "route_not_found")
    assert host.install().returncode == 0


def test_an_enrollment_that_was_interrupted_goes_on_with_its_token_alone(
    host: Host, plane: ControlPlane
) -> None:
    fingerprint = subprocess.run(
        ["openssl", "dgst", "-sha256", "-r"], input=TOKEN.encode(), capture_output=True, check=True
    ).stdout[:32]
    host.write(
        "etc/rollcall/agent.env",
        "ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY=x\n"
        f"ROLLCALL_ENROLLMENT_TOKEN_SHA256={fingerprint.decode()}\n",
    )
    plane.refuse(410, "token_spent")
    assert host.install(token="rce_another").returncode == 3
    assert host.install().returncode == 0


def test_name_and_labels_are_asked_about_and_come_to_the_agent(
    host: Host, plane: ControlPlane
) -> None:
    labels = ["role=web", 'note=a "b" \\c', "site=Zürich", "empty="]
    arguments = [word for label in labels for word in ("--label", label)]
    result = host.install("--name=edge-1", *arguments)
    assert result.returncode == 0, result.stderr
    said = json.loads(plane.checked[0][1])
    assert said["name"] == "edge-1"
    assert said["labels"] == dict(label.split("=", 1) for label in labels)
    assert "--name edge-1 --label role=web --label note=a" in host.calls()[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "a b"),
        ("--name", ""),
        ("--label", "x"),
        ("--label", "=x"),
        ("--label", "A=x"),
        ("--label", "a=\n"),
        ("--label",),
        ("--uninstall", "--name", "x"),
        ("--uninstall", "--label", "a=b"),
    ],
)
def test_a_name_or_label_that_cannot_be_is_refused_at_once(
    host: Host, plane: ControlPlane, arguments: tuple[str, ...]
) -> None:
    assert host.install(*arguments).returncode == 2
    assert plane.asked == []


def test_a_place_that_cannot_be_written_to_is_named(host: Host, plane: ControlPlane) -> None:
    # As root each folder of a test can be written to, so a file stands in the folder's place.
    host.write("usr/local", "")
    result = host.install()
    assert result.returncode == 2
    assert f"{host.root}/usr/local is not a folder" in result.stderr
    assert plane.asked == []


@pytest.mark.parametrize("content", ["root:x:0:0\n", '{"hosts": 1}', "ROLLCALL_AGENT_ID=agt_1\n"])
def test_a_state_file_that_holds_something_else_is_refused_and_kept(
    host: Host, plane: ControlPlane, content: str
) -> None:
    other = host.write("etc/other", content)
    host.write("etc/rollcall/agent.env", f"ROLLCALL_STATE_FILE={other}\n").chmod(0o600)
    result = host.install()
    assert result.returncode == 2
    assert "holds something else" in result.stderr
    assert other.read_text() == content
    assert plane.downloads() == []


def test_a_folder_that_cannot_be_made_is_no_raw_error(host: Host) -> None:
    path = shim(
        host,
        "mkdir",
        'case "$*" in */rollcall*) echo no >&2; exit 1 ;; esac; PATH=/usr/bin:/bin exec mkdir "$@"',
    )
    result = host.install(PATH=path)
    assert result.returncode == 2
    assert f"cannot make {host.config.parent}" in result.stderr
    assert host.calls() == []


@pytest.mark.parametrize("place", ["usr/local", "var/lib"])
def test_a_mount_with_noexec_is_named(host: Host, plane: ControlPlane, place: str) -> None:
    (host.root / place).mkdir(parents=True)
    mounts = host.write(
        "mounts", f"none / ext4 rw 0 0\nnone {host.root}/{place} ext4 rw,noexec,nosuid 0 0\n"
    )
    script = altered(plane.script(), ("/proc/self/mounts", str(mounts)))
    result = host.install(script=script)
    assert result.returncode == 2
    assert f"no program can be run in {host.root}/{place}" in result.stderr
    assert plane.asked == []
    mounts.write_text(mounts.read_text() + f"none {host.root}/{place} ext4 rw 0 0\n")
    assert host.install(script=script, token=None).returncode == 2
    assert "noexec" not in host.install(script=script, token=None).stderr


@pytest.mark.parametrize("free", [0, 100_000, 190_000])
def test_a_full_disk_is_named_with_what_is_needed(
    host: Host, plane: ControlPlane, free: int
) -> None:
    line = f"/dev/my disk 1000000 1 {free} 99% /"
    path = shim(host, "df", f'echo Filesystem; echo "{line}"')
    result = host.install(PATH=path)
    assert result.returncode == 2
    assert f"{free // 1024} MB are free, and 192 MB are needed" in result.stderr
    assert plane.asked == []


def test_a_host_of_another_c_library_is_told_so(host: Host, plane: ControlPlane) -> None:
    loader, musl = host.root / "lib/ld-linux", host.root / "lib/ld-musl-x86_64.so.1"
    script = plane.script()
    for real in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"):
        script = altered(script, (real, str(loader)))
    other = host.install(script=script)
    assert other.returncode == 1
    assert f"not started by {loader}" in other.stderr
    host.write("lib/ld-musl-x86_64.so.1", "")
    assert musl.exists()
    result = host.install(script=script)
    assert result.returncode == 1
    assert "its C library is musl" in result.stderr
    assert plane.asked == []


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("echo \"libc.so.6: version 'GLIBC_2.38' not found\" >&2; exit 1", "a newer C library"),
        ("echo 'libz.so.1: failed to map segment' >&2; exit 127", "something forbids"),
        ("exit 132", "lacks an instruction"),
        ("kill -9 $$", "too little memory"),
        ("echo 'some other trouble' >&2; exit 1", "the lines above say why"),
    ],
)
def test_a_binary_that_does_not_start_is_explained_and_the_token_whole(
    host: Host, plane: ControlPlane, lines: str, why: str
) -> None:
    plane.served = plane.binary = f"#!/bin/sh\n{lines}\n".encode()
    plane.publish()
    result = host.install()
    assert result.returncode == 1
    assert why in result.stderr
    assert "the token was not spent" in result.stderr
    assert host.programs() == []


def test_a_binary_of_another_architecture_is_explained(host: Host, plane: ControlPlane) -> None:
    plane.served = plane.binary = b"\x7fELF\x02\x01\x01" + bytes(57)
    plane.publish()
    result = host.install()
    assert result.returncode == 1
    assert "another architecture" in result.stderr


def test_a_curl_that_writes_nothing_is_named(host: Host, plane: ControlPlane) -> None:
    path = shim(host, "curl", "cat >/dev/null; printf '200 '")
    result = host.install(PATH=path)
    assert result.returncode == 1
    assert "has written nothing" in result.stderr
    assert plane.asked == []


def test_nobody_sees_the_token_at_the_check(host: Host) -> None:
    seen = host.root / "seen"
    path = shim(
        host,
        "curl",
        f'{{ printf "%s " "$@"; cat /proc/[0-9]*/cmdline; env; }} >>"{seen}" 2>/dev/null\n'
        'PATH=/usr/bin:/bin exec curl "$@"',
    )
    assert host.install(PATH=path).returncode == 0
    assert host.plane.checked[0][0] == f"Bearer {TOKEN}"
    assert TOKEN not in seen.read_text(errors="replace")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("through_stdin", [True, False])
def test_another_shell_says_that_bash_is_needed(
    host: Host, plane: ControlPlane, shell: str, through_stdin: bool
) -> None:
    script = host.write("install.sh", plane.script())
    try:
        done = subprocess.run(
            [*shell.split(), *([] if through_stdin else [str(script)])],
            input=plane.script() if through_stdin else None,
            env=host.environment({}),
            capture_output=True,
            text=True,
            timeout=SLOWEST,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip(f"{shell} is not installed")
    assert done.returncode == 2
    assert done.stdout == ""
    line = f"Next: curl -fsSL {plane.url}/install/install.sh | sudo bash\n"
    assert done.stderr.startswith("rollcall: error: this script needs bash")
    assert done.stderr.endswith(line)
    assert done.stderr.count("\n") == 1
    assert plane.asked == []


def test_bash_under_the_name_of_sh_does(host: Host, plane: ControlPlane) -> None:
    bash = subprocess.run(
        ["bash", "-c", "type -P bash"], capture_output=True, text=True, check=True
    )
    (host.root / "sh").symlink_to(bash.stdout.strip())
    file = host.write("install.sh", plane.script())
    done = subprocess.run(
        [str(host.root / "sh"), str(file), "--token-file", str(host.token_file())],
        env=host.environment({}),
        capture_output=True,
        text=True,
        timeout=SLOWEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_commands_that_are_shown_can_be_copied(plane: ControlPlane, host: Host) -> None:
    odd = host.root / "it's a place"
    (odd / "fake").mkdir(parents=True)
    spaced = Host(odd, plane)
    spaced.fake("run.exit").write_text("3\n")
    failed = spaced.install()
    shown = failed.stderr.split("Next: ")[-1].strip()
    assert shown.endswith("agent.env'")
    spaced.fake("run.exit").unlink()
    done = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert spaced.calls()[-1] == f"doctor --config {spaced.config}"
    installed = spaced.install(token=None)
    assert installed.returncode == 0, installed.stderr


def test_the_command_unpacks_where_programs_may_run_also_when_a_person_gives_it(host: Host) -> None:
    plane = host.plane
    plane.served = plane.binary = b'#!/bin/sh\n[ "$1" != show ] || echo "$TMPDIR:$2"\nexit 0\n'
    plane.publish()
    host.install()
    command = [str(host.binary), "show", "a b"]
    shown = subprocess.run(command, env={"TMPDIR": "/noexec"}, capture_output=True, check=True)
    assert shown.stdout.decode() == f"{host.unpacking_commands}:a b\n"
    host.unpacking_commands.rmdir()
    elsewhere = subprocess.run(command, env={"TMPDIR": "/x"}, capture_output=True, check=True)
    assert elsewhere.stdout == b"/x:a b\n"
    assert os.access(host.program, os.X_OK)


def test_where_an_older_script_installed_the_agent_nothing_is_changed(host: Host) -> None:
    host.write("usr/local/bin/rollcall-agent", "\x7fELF").chmod(0o755)
    host.write("etc/rollcall/agent.env", "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=x\n")
    assert "nothing was changed" in host.install(token=None).stdout
    forced = host.install(ROLLCALL_FORCE_REENROLL="1")
    assert forced.returncode == 0, forced.stderr
    assert host.programs() == ["rollcall-agent", "rollcall-agent.bin"]


def test_a_command_whose_program_is_gone_is_put_back(host: Host) -> None:
    assert host.install().returncode == 0
    host.program.unlink()
    assert host.install(token=None).returncode == 0
    assert host.program.exists()
