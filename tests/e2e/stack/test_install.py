"""The installer that the deployed stage serves, on this machine, into a prefix."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from infra.local_stack import LocalStack
from infra.publish_agent import measured, publish
from tests.e2e.agent_faults.harness import KILL_SWITCH
from tests.e2e.install_script.host import Prefix, killing_path, text_of
from tests.e2e.stack.calls import Calls, Token

VERSION = "0.0.1+installed"
AT_ONCE = 2
FEWEST_STEPS = 25
KILLED_BY_THE_SYSTEM = 128 + signal.SIGKILL
# The agent of this checkout, in the place of the file that `make agent` builds: it starts faster,
# which matters where it is started at each step.
AGENT = """#!/bin/sh
[ -z "${{STEP:-}}" ] || "$STEP"
if [ "$1" = enroll ] && [ -n "${{ROLLCALL_FAULT_KILL_AT:-}}" ]; then
  PYTHONPATH={kill_switch}
  export PYTHONPATH
fi
exec {python} -m rollcall_agent "$@"
"""


@dataclass(frozen=True)
class Published:
    """The installer, and what signs the agent that it installs."""

    script: str
    fingerprint: str


@pytest.fixture(scope="module")
def published(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """An agent for this machine, beside whatever version the other tests put in force."""
    binary = tmp_path_factory.mktemp("release") / "agent"
    binary.write_text(AGENT.format(python=sys.executable, kill_switch=KILL_SWITCH))
    files = measured([], [f"linux/{platform.machine()}={binary}"])
    publish(stack.target, VERSION, files, latest=False, say=lambda _: None)
    fetched = httpx.get(f"{stack.url}/install/install.sh", trust_env=False)
    assert fetched.status_code == 200
    return Published(fetched.text, stack.outputs["ReleaseKeySha256"])


def host(folder: Path) -> Prefix:
    """A host on which nothing is installed."""
    folder.mkdir()
    return Prefix(folder)


def install(
    prefix: Prefix, published: Published, *arguments: str, token: Token | None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run the installer to its end, or to where it is killed."""
    given = {"ROLLCALL_AGENT_VERSION": VERSION, "ROLLCALL_WAIT_SECONDS": "30", **extra}
    secret = token.secret if token is not None else None
    return prefix.run_script(published.script, *arguments, token=secret, **given)


def assert_installed_once(calls: Calls, prefix: Prefix, token: Token) -> str:
    """One agent, one use, and the identity of the host is the agent's."""
    settings = prefix.settings()
    agent_id = settings["ROLLCALL_AGENT_ID"]
    assert [agent["agent_id"] for agent in calls.agents_of(token)] == [agent_id]
    assert calls.uses(token) == 1
    assert token.secret not in prefix.config.read_text()
    assert list(prefix.state.iterdir()) == [prefix.unpacking]
    return agent_id


def test_the_documented_line_brings_a_host_online_and_takes_it_away_again(
    stack: LocalStack, published: Published, calls: Calls, tmp_path: Path
) -> None:
    prefix = host(tmp_path / "host")
    token = calls.mint()
    extra = {"ROLLCALL_TOKEN_FILE": str(prefix.token_file(token.secret)), "URL": stack.url}
    installed = subprocess.run(
        ["bash", "-c", 'curl -fsSL "$URL/install/install.sh" | bash'],
        env=prefix.environment({**extra, "ROLLCALL_AGENT_VERSION": VERSION}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert installed.returncode == 0, text_of(installed)
    agent_id = assert_installed_once(calls, prefix, token)
    assert f"{agent_id} is online" in installed.stdout
    assert calls.operator("GET", f"/agents/{agent_id}").json()["status"] == "online"
    assert published.fingerprint in installed.stdout
    assert prefix.settings()["ROLLCALL_RELEASE_KEY_SHA256"] == published.fingerprint

    before = prefix.config.read_bytes()
    again = install(prefix, published, token=None)
    assert again.returncode == 0, text_of(again)
    assert f"enrolled already as {agent_id}; nothing was changed" in again.stdout
    assert prefix.config.read_bytes() == before

    removed = install(prefix, published, "--uninstall", "--decommission", "--purge", token=None)
    assert removed.returncode == 0, text_of(removed)
    assert not prefix.binary.exists()
    assert not prefix.config.parent.exists()
    assert calls.agents_of(token) == []


def test_killed_at_its_steps_the_same_line_ends_with_one_agent_and_one_use(
    published: Published, calls: Calls, tmp_path: Path
) -> None:
    steps = killing_path(tmp_path / "steps")

    def run(name: str, step: int, token: Token) -> tuple[Prefix, int]:
        prefix = host(tmp_path / name)
        counted = prefix.write("counted", "0\n")
        killed = {**steps, "STEPS": str(counted), "KILL_AT": str(step)}
        done = install(prefix, published, token=token, **killed)
        assert done.returncode in {0, -signal.SIGKILL}, text_of(done)
        return prefix, int(counted.read_text())

    def die_and_resume(step: int) -> None:
        token = calls.mint(uses=2)
        prefix, died_at = run(f"step-{step}", step, token)
        assert died_at == step
        resumed = install(prefix, published, token=token)
        assert resumed.returncode == 0, f"step {step}: {text_of(resumed)}"
        assert_installed_once(calls, prefix, token)

    _, whole = run("whole", 0, calls.mint())
    assert whole > FEWEST_STEPS
    # Those before the token is shown are many and alike; at the end each one counts.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(die_and_resume, [whole // 2, *range(whole - 3, whole + 1)]))


@pytest.mark.parametrize("step", [11, 16])
def test_an_agent_killed_while_enrolling_is_finished_by_the_same_line(
    published: Published, calls: Calls, tmp_path: Path, step: int
) -> None:
    prefix = host(tmp_path / "host")
    token = calls.mint(uses=2)
    killing = {
        "ROLLCALL_FAULT_WATCH": str(prefix.root),
        "ROLLCALL_FAULT_KILL_AT": str(step),
        "ROLLCALL_FAULT_LOG": str(prefix.root / "steps.log"),
    }
    died = install(prefix, published, token=token, **killing)
    assert died.returncode == KILLED_BY_THE_SYSTEM, text_of(died)
    resumed = install(prefix, published, token=token)
    assert resumed.returncode == 0, text_of(resumed)
    assert_installed_once(calls, prefix, token)


def test_a_revoked_host_gets_a_new_identity_only_with_a_new_token(
    published: Published, calls: Calls, tmp_path: Path
) -> None:
    prefix = host(tmp_path / "host")
    token = calls.mint()
    assert install(prefix, published, token=token).returncode == 0
    former = assert_installed_once(calls, prefix, token)
    calls.operator("POST", f"/agents/{former}/revoke")
    spent = install(prefix, published, token=token, ROLLCALL_FORCE_REENROLL="1")
    assert spent.returncode == 3
    assert "410 token_spent" in spent.stderr
    assert "have a fresh one minted" in spent.stderr
    fresh = calls.mint()
    again = install(prefix, published, token=fresh, ROLLCALL_FORCE_REENROLL="1")
    assert again.returncode == 0, text_of(again)
    assert assert_installed_once(calls, prefix, fresh) != former
