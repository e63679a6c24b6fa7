"""Where the token may come from, and where it may never be seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.install_script.control_plane import ControlPlane
from tests.e2e.install_script.host import SLOWEST, TOKEN, Host, text_of

# Run in the agent's place, it looks at what every process of the machine shows of itself.
LOOKING_AROUND = """#!{python}
import json, os, pathlib, sys
if sys.argv[1] == "version":
    sys.exit()
given = sys.stdin.read().strip()
shown = []
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        line = (process / "cmdline").read_bytes().replace(b"\\0", b" ")
        shown.append(line.decode("utf-8", "replace"))
    except OSError:
        pass
root = pathlib.Path(__file__).parents[3]
(root / "fake" / "seen").write_text(json.dumps([given, shown, dict(os.environ)]))
sys.exit(3)
"""


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        ((), {"ROLLCALL_TOKEN_FILE": "{file}"}),
        (("--token-file", "{file}"), {}),
        ((), {"ROLLCALL_TOKEN": TOKEN}),
        ((), {"RM_TOKEN": TOKEN}),
        ((), {"INSTALL_TOKEN": TOKEN}),
    ],
    ids=["file by environment", "file by option", "ROLLCALL_TOKEN", "RM_TOKEN", "INSTALL_TOKEN"],
)
def test_no_process_and_no_output_shows_the_token(
    host: Host, plane: ControlPlane, arguments: tuple[str, ...], extra: dict[str, str]
) -> None:
    plane.served = plane.binary = LOOKING_AROUND.format(python=sys.executable).encode()
    plane.publish()
    file = str(host.token_file())
    given = {name: value.format(file=file) for name, value in extra.items()}
    result = host.install(*(item.format(file=file) for item in arguments), token=None, **given)
    assert result.returncode == 3, result.stderr
    token, shown, environment = json.loads(host.fake("seen").read_text())
    assert token == TOKEN
    assert any("rollcall-agent.bin enroll" in line for line in shown)
    assert not [line for line in shown if TOKEN in line]
    assert TOKEN not in environment.values()
    assert TOKEN not in text_of(result)
    (host.root / "root.token").unlink()
    host.fake("seen").unlink()
    assert not _files_with(host.root, TOKEN)


def _files_with(folder: Path, text: str) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if text.encode() in path.read_bytes()]


@pytest.mark.parametrize("name", ["ROLLCALL_TOKEN", "RM_TOKEN", "INSTALL_TOKEN"])
def test_a_token_of_the_environment_works_and_warns(
    host: Host, plane: ControlPlane, name: str
) -> None:
    result = host.install(token=None, **{name: TOKEN})
    assert result.returncode == 0, result.stderr
    assert f"the token came in {name}: on a command line everybody" in result.stderr
    assert f"curl -fsSL {plane.url}/install/install.sh | sudo bash" in result.stderr
    assert host.spent() == [TOKEN]


def test_a_trace_of_the_script_does_not_show_the_token(host: Host, plane: ControlPlane) -> None:
    result = host.install(script=f"set -x\n{plane.script()}", token=None, ROLLCALL_TOKEN=TOKEN)
    assert result.returncode == 0
    assert TOKEN not in text_of(result)


def test_the_file_goes_before_the_environment(host: Host) -> None:
    assert host.install(RM_TOKEN="rce_another").returncode == 0
    assert host.spent() == [TOKEN]


def test_a_file_that_everybody_can_read_is_warned_about(host: Host) -> None:
    file = host.token_file()
    file.chmod(0o644)
    result = host.install("--token-file", str(file), token=None)
    assert result.returncode == 0
    assert "can be read by everybody" in result.stderr


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_is_no_token(host: Host, plane: ControlPlane, content: str) -> None:
    file = host.write("empty", content)
    result = host.install("--token-file", str(file), token=None)
    assert result.returncode == 2
    assert plane.asked == []


def test_without_token_and_terminal_it_says_what_is_missing(
    host: Host, plane: ControlPlane
) -> None:
    result = host.install(token=None)
    assert result.returncode == 2
    assert "there is no enrollment token" in result.stderr
    assert "--token-file" in result.stderr
    assert plane.asked == []


def test_a_token_as_an_argument_is_refused_and_not_repeated(host: Host) -> None:
    result = host.install(TOKEN, token=None)
    assert result.returncode == 2
    assert TOKEN not in text_of(result)


def test_a_token_that_stands_in_the_env_file_is_left_to_the_agent(host: Host) -> None:
    host.config.parent.mkdir(parents=True, mode=0o700)
    host.config.write_text(f"ROLLCALL_TOKEN={TOKEN}\n")
    assert host.install(token=None).returncode == 0
    assert host.calls()[0].endswith(f"--url {host.plane.url}")


def test_a_terminal_is_asked_and_shows_nothing(host: Host, plane: ControlPlane) -> None:
    script = host.write("install.sh", plane.script())
    # The terminal's other end: it waits for the question, as a person does.
    asking = (
        "import os, pty, sys\n"
        "child, terminal = pty.fork()\n"
        "if child == 0:\n"
        "    os.execvp('bash', ['bash', sys.argv[1]])\n"
        "said, answered = b'', False\n"
        "while True:\n"
        "    try:\n"
        "        part = os.read(terminal, 1024)\n"
        "    except OSError:\n"
        "        break\n"
        "    if not part:\n"
        "        break\n"
        "    said += part\n"
        "    if b'not shown' in said and not answered:\n"
        "        answered = bool(os.write(terminal, (sys.argv[2] + '\\n').encode()))\n"
        "sys.stdout.buffer.write(said)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", asking, str(script), TOKEN],
        env=host.environment({}),
        capture_output=True,
        text=True,
        timeout=SLOWEST,
        check=False,
    )
    assert result.returncode == 0, text_of(result)
    assert "Enrollment token (not shown):" in result.stdout
    assert TOKEN not in text_of(result)
    assert host.spent() == [TOKEN]
