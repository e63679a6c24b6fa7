"""A download that was cut does nothing; an installation that was killed is finished by another."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.install_script.control_plane import ControlPlane
from tests.e2e.install_script.host import INSTALLED, PROGRAMS, SLOWEST, TOKEN, Host, killing_path

FEWEST_STEPS = 40
# Up to here the script leaves nothing but its own temporary folder.
FIRST_WRITING_STEP = 30
STRIDE = 7

# Gives bash one beginning of the script after the other; every program that could do something is
# an error here, so what is cut and yet does something is seen. Within a function one place is like
# the other, so there some are enough.
CUTTING = r"""
import subprocess, sys
script = open(sys.argv[1], "rb").read()
lines = [at for at, byte in enumerate(script) if byte == 10]
last = script.rstrip(b"\n").rfind(b"\n") + 1
places = {at + 1 for at in lines[:-1:8]}
places |= {at + 1 for at in lines[:-1] if script[at + 1 : at + 2] not in (b" ", b"\t")}
places |= set(range(0, last, 499)) | set(range(last, len(script) - 1))
for place in sorted(places):
    done = subprocess.run(["bash"], input=script[:place], capture_output=True)
    if b"CALLED" in done.stdout + done.stderr or b"rollcall:" in done.stdout + done.stderr:
        sys.exit(f"cut at {place} it did something: {done}")
print(len(places))
"""


def test_a_download_that_was_cut_does_nothing(host: Host, plane: ControlPlane) -> None:
    script = host.write("install.sh", plane.script())
    called = host.write("called", "#!/bin/sh\necho CALLED\n")
    called.chmod(0o755)
    folder = host.root / "called.d"
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).symlink_to(called)
    path = f"{folder}:{host.environment({})['PATH']}"
    before = sorted(host.root.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-c", CUTTING, str(script)],
        env=host.environment({"PATH": path, "ROLLCALL_TOKEN": TOKEN}),
        capture_output=True,
        text=True,
        timeout=SLOWEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= len(plane.script().splitlines()) / 8
    assert plane.asked == []
    assert [path for path in sorted(host.root.rglob("*")) if path.name not in {"tmp", "home"}] == [
        path for path in before if path.name not in {"tmp", "home"}
    ]


def test_the_whole_download_does_something(host: Host, plane: ControlPlane) -> None:
    assert host.install(script=plane.script().rstrip("\n")).returncode == 0


def test_an_argument_is_not_lost_with_the_end_of_the_last_line(plane: ControlPlane) -> None:
    # `main` alone would install where the whole line uninstalls.
    last = plane.script().rstrip("\n").splitlines()[-1]
    assert last == '{ main "$@"; }'


class Killing:
    """Runs that die at a step."""

    def __init__(self, folder: Path, plane: ControlPlane) -> None:
        self._folder = folder
        self._plane = plane
        self._steps = killing_path(folder / "shims")

    def host(self, number: int) -> Host:
        """A fresh host."""
        root = self._folder / f"host-{number}"
        (root / "fake").mkdir(parents=True)
        return Host(root, self._plane)

    def run(self, host: Host, step: int, **extra: str) -> subprocess.CompletedProcess[str]:
        """Install, and die at the step."""
        steps = host.fake("steps")
        steps.write_text("0\n")
        return host.install(**self._steps, STEPS=str(steps), KILL_AT=str(step), **extra)


def assert_one_agent(host: Host, identity: str, uses: int) -> None:
    settings = host.settings()
    assert settings["ROLLCALL_AGENT_ID"] == identity
    assert settings["ROLLCALL_RELEASE_KEY_SHA256"] == host.plane.key.fingerprint
    assert len(host.spent()) == uses
    assert host.program.read_bytes() == host.plane.binary
    assert host.programs() == INSTALLED
    assert host.left_in_state() == []


def test_killed_at_each_step_the_same_line_ends_with_one_agent_and_one_use(
    tmp_path: Path, plane: ControlPlane
) -> None:
    killing = Killing(tmp_path, plane)
    step = 0
    while True:
        step += 1
        host = killing.host(step)
        killed = killing.run(host, step)
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        has_begun = host.binary.parent.exists()
        resumed = host.install()
        assert resumed.returncode == 0, f"step {step}: {resumed.stderr}"
        assert_one_agent(host, "agt_1", uses=1)
        # Where the killed run had not proven a heartbeat, this one has.
        assert "run" in host.commands(), f"step {step}"
        if not has_begun and step + STRIDE < FIRST_WRITING_STEP:
            # What only looks at the host and downloads is alike: some of it is enough.
            step += STRIDE
    assert step > FEWEST_STEPS


def test_killed_while_replacing_the_same_line_ends_with_one_new_agent(
    tmp_path: Path, plane: ControlPlane
) -> None:
    killing = Killing(tmp_path, plane)
    again = {"ROLLCALL_FORCE_REENROLL": "1", "ROLLCALL_TOKEN_FILE": str(tmp_path / "second")}
    (tmp_path / "second").write_text("rce_second\n")
    whole = killing.host(0)
    assert whole.install().returncode == 0
    assert killing.run(whole, 0, **again).returncode == 0
    steps = int(whole.fake("steps").read_text())
    # The first steps only read, and were gone through above.
    for step in range(steps - 11, steps + 1):
        host = killing.host(step)
        assert host.install().returncode == 0
        assert killing.run(host, step, **again).returncode == -signal.SIGKILL
        resumed = host.install(**again)
        ended = host.settings()["ROLLCALL_AGENT_ID"]
        assert resumed.returncode == 0, f"step {step}: {resumed.stderr}"
        assert ended == "agt_2", f"step {step}"
        assert host.spent() == [TOKEN, "rce_second"]
        assert host.left_in_state() == []
