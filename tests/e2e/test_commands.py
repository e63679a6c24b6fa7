"""`up`, `demo` and `local` as a person runs them: what they serve, and what they leave behind."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

import httpx
import pytest

from tests.e2e.checkouts import clone
from tests.e2e.commands import Command, running

INTERRUPTED = 130
TERMINATED = 143
HUNG_UP = 129


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return clone(tmp_path / "checkout")


def summary(command: Command) -> dict[str, str]:
    file = command.folder / ".local" / "stack.json"
    command.until(file.exists, "stack.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found: dict[str, str] = json.loads(file.read_text("utf-8"))
    return found


def assert_clean(command: Command) -> None:
    assert command.leftovers() == []
    assert command.files() == []


def ask(url: str, path: str, key: str = "") -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.get(f"{url}{path}", headers=headers, timeout=30, trust_env=False).status_code


def test_two_stages_side_by_side_one_ends_with_ctrl_c_and_one_is_killed(tmp_path: Path) -> None:
    first, second = clone(tmp_path / "first"), clone(tmp_path / "second")
    with running(first, "up") as stopped, running(second, "up") as killed:
        one, other = summary(stopped), summary(killed)
        assert set(one) == {
            *("url", "organization", "project", "environment", "operator_key"),
            *("admin_username", "admin_password"),
        }
        for found in (one, other):
            assert ask(found["url"], "/readyz") == 200
            assert ask(found["url"], "/api/v1/agents", found["operator_key"]) == 200
        assert ask(one["url"], "/api/v1/agents", other["operator_key"]) == 401
        stopped.until_said("Stop: Ctrl-C")
        assert one["operator_key"] not in stopped.said
        assert one["admin_password"] not in stopped.said

        stopped.interrupt()
        assert stopped.ended() == 0
        assert_clean(stopped)
        assert "Traceback" not in stopped.said, stopped.said
        assert ask(other["url"], "/healthz") == 200

        assert len(killed.leftovers(0)) > 1, "there are workers"
        killed.process.kill()
        killed.ended()
        assert killed.leftovers() == [], "the workers ended by themselves"
        for found in (one, other):
            with pytest.raises(httpx.ConnectError):
                ask(found["url"], "/healthz")


@pytest.mark.parametrize(
    ("signals", "code", "moment"),
    [
        ([signal.SIGINT], INTERRUPTED, "Creating lambda function"),
        ([signal.SIGINT, signal.SIGINT, signal.SIGINT], INTERRUPTED, "Creating lambda function"),
        ([signal.SIGTERM, signal.SIGINT], TERMINATED, "Creating IAM role"),
        ([signal.SIGHUP], HUNG_UP, "Regen deployment package"),
        ([signal.SIGKILL], -signal.SIGKILL, "Creating lambda function"),
    ],
    ids=["ctrl-c", "impatient ctrl-c", "terminated", "hung up", "killed"],
)
def test_a_deployment_that_is_broken_off_leaves_no_process(
    checkout: Path, signals: list[signal.Signals], code: int, moment: str
) -> None:
    with running(checkout, "up") as command:
        command.until_said(moment)
        for number in signals:
            command.interrupt(number)
            command.leftovers(0.15)  # the next one comes while this one is being worked on
        assert command.ended() == code, command.said
        assert command.leftovers(20) == []
        if code != -signal.SIGKILL:
            assert_clean(command)
            assert "Traceback" not in command.said, command.said
        assert not (checkout / ".local" / "stack.json").exists()


def test_a_demo_that_cannot_deploy_says_why_and_leaves_nothing(checkout: Path) -> None:
    policy = checkout / ".chalice" / "policy-run_jobs.json"
    policy.write_text(policy.read_text().replace("${JobsTableArn}", "${NoSuchOutput}"))
    with running(checkout, "demo") as command:
        assert command.ended() == 1
        last = command.said.strip().splitlines()[-1]
        assert last.startswith("demo: ")
        assert "NoSuchOutput" in last
        assert_clean(command)


def test_a_demo_that_is_broken_off_half_way_ends_its_agents(checkout: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.mkdir()
    # The upload of this host never ends.
    (slow / "sitecustomize.py").write_text(
        "import pathlib, sys, time\n"
        "if 'upload' in sys.orig_argv:\n"
        f"    pathlib.Path({str(slow / 'started')!r}).touch()\n"
        "    time.sleep(600)\n"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running(checkout, "demo", PYTHONPATH=str(slow), TMPDIR=str(temporary)) as command:
        command.until((slow / "started").exists, "the upload")
        agents = [line for line in command.leftovers(0) if "rollcall_agent" in line]
        assert len(agents) == 2, "one that beats and one that uploads"
        command.interrupt()
        assert command.ended() == INTERRUPTED
        assert_clean(command)
        assert list(temporary.iterdir()) == []
        assert "Traceback" not in command.said, command.said
        assert " 6. " in command.said


def test_local_serves_the_checkout_until_ctrl_c_and_starts_again_for_its_sources_alone(
    checkout: Path,
) -> None:
    with running(checkout, "local") as command:
        command.until_said("API: ")
        found = json.loads((checkout / ".local" / "local.json").read_text("utf-8"))
        assert ask(found["url"], "/readyz") == 200, "it says so once it listens"
        assert ask(found["url"], "/api/v1/agents", found["operator_key"]) == 200

        for name in (".local/stack.json", "build/dev/project/app.py"):
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_text("{}")
        broken = checkout / "chalicelib" / "broken.py"
        broken.write_text("")
        command.until_said("changed: chalicelib/broken.py; starting again")
        assert command.said.count("starting again") == 1, command.said
        command.until(lambda: command.said.count("API: ") == 2, "the second start")
        assert ask(found["url"], "/api/v1/agents", found["operator_key"]) == 200

        (checkout / ".local" / "stack.json").unlink()
        command.interrupt()
        assert command.ended() in {0, INTERRUPTED}
        assert_clean(command)
        assert "Traceback" not in command.said, command.said
