"""The emulated cloud leaves nothing behind, however it ends."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest

from infra.emulator.cloud import EmulatedCloud

HANDLER = """
import time

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return event
"""
ROLE = "arn:aws:iam::123456789012:role/probe"


def package() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("main.py", HANDLER)
    return buffer.getvalue()


def create_function(cloud: EmulatedCloud) -> None:
    def client(service: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=cloud.endpoint_url,
            region_name="eu-central-1",
            aws_access_key_id="emulated",
            aws_secret_access_key="emulated",
        )

    client("iam").create_role(RoleName="probe", AssumeRolePolicyDocument="{}")
    client("lambda").create_function(
        FunctionName="probe",
        Runtime="python3.11",
        Role=ROLE,
        Handler="main.handler",
        Code={"ZipFile": package()},
        Timeout=60,
    )


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        os.sched_yield()
    return True


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[-1].split()[0] == "Z"


def test_stop_is_complete_and_fast(tmp_path: Path) -> None:
    with EmulatedCloud(tmp_path / "run") as cloud:
        create_function(cloud)
        function = cloud.functions["probe"]
        assert function.invoke({"a": 1}).payload == {"a": 1}
        pids = function.pids
        ports = [urlsplit(url).port or 0 for url in (cloud.endpoint_url, cloud.api_url("dev"))]
        begun = time.monotonic()
    assert time.monotonic() - begun < 6
    assert pids
    assert all(gone(pid) for pid in pids)
    assert not (tmp_path / "run").exists()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_busy_function_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with EmulatedCloud(tmp_path / "run") as cloud:
        create_function(cloud)
        boto3.client(
            "lambda",
            endpoint_url=cloud.endpoint_url,
            region_name="eu-central-1",
            aws_access_key_id="emulated",
            aws_secret_access_key="emulated",
        ).invoke(FunctionName="probe", InvocationType="Event", Payload=b'{"seconds": 50}')
        function = cloud.functions["probe"]
        assert eventually(lambda: bool(function.pids))
        with pytest.raises(TimeoutError):
            cloud.wait_idle(0.2)
        (pid,) = function.pids
        begun = time.monotonic()
    assert time.monotonic() - begun < 15  # of fifty
    assert gone(pid)


def test_it_can_be_started_again_and_is_empty(tmp_path: Path) -> None:
    for _ in range(2):
        with EmulatedCloud(tmp_path / "run") as cloud:
            assert "probe" not in cloud.functions
            create_function(cloud)


def test_a_start_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "run"
    blocked.mkdir()
    (blocked / "logs").touch()
    with pytest.raises(FileExistsError), EmulatedCloud(blocked):
        pass
    (blocked / "logs").unlink()
    with EmulatedCloud(blocked) as cloud:
        create_function(cloud)
    assert not any(blocked.iterdir())


def test_without_the_runtime_client_it_says_so(tmp_path: Path) -> None:
    cloud = EmulatedCloud(tmp_path / "run", runtime_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="awslambdaric"), cloud:
        pass


@pytest.mark.parametrize("seconds", [0, 50])
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path, seconds: int) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        f"""
import sys, threading, time
from pathlib import Path
sys.path[:0] = [{str(Path.cwd())!r}]
from tests.contract.test_emulator_lifecycle import create_function
from infra.emulator.cloud import EmulatedCloud

with EmulatedCloud(Path({str(tmp_path / "run")!r})) as cloud:
    create_function(cloud)
    function = cloud.functions["probe"]
    function.invoke({{}})
    threading.Thread(target=function.invoke, args=({{"seconds": {seconds}}},), daemon=True).start()
    print(*function.pids, flush=True)
    time.sleep(60)
"""
    )
    command = [sys.executable, str(script)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - own script
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert pids
        parent.send_signal(signal.SIGKILL)
        assert eventually(lambda: all(gone(pid) for pid in pids))
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()
