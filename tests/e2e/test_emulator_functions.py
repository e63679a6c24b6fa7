"""The functions of a really deployed app: their workers, their code, direct invocations."""

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from infra.emulator.cloud import EmulatedCloud
from tests.e2e.test_emulator_gateway import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("functions")
    with EmulatedCloud(root / "run") as cloud:
        project = Project(root / "app", cloud)
        project.deploy("one")
        yield project


@pytest.fixture
def api(project: Project) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=project.cloud.api_url("dev"), trust_env=False) as client:
        yield client


def test_a_worker_that_dies_is_a_502_and_is_replaced(api: httpx.Client) -> None:
    assert api.get("/fail/exit").status_code == 502
    assert api.get("/").status_code == 200


def test_a_killed_idle_worker_is_not_noticed(api: httpx.Client, project: Project) -> None:
    api.get("/")
    function = project.cloud.functions["probe-dev"]
    for pid in function.pids:
        os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while function.pids and time.monotonic() < until:
        os.sched_yield()  # a signal is delivered when the system gets round to it
    assert api.get("/").status_code == 200


def test_a_function_is_killed_at_its_timeout(project: Project) -> None:
    function = project.cloud.functions["probe-dev"]
    event = {
        "requestContext": {"httpMethod": "GET", "resourcePath": "/sleep/{seconds}"},
        "pathParameters": {"seconds": "60"},
        "multiValueQueryStringParameters": None,
        "headers": {},
        "body": None,
        "stageVariables": None,
        "isBase64Encoded": False,
    }
    answer = function.invoke(event)
    assert answer.error == "Unhandled"
    assert "Task timed out after 3.00 seconds" in answer.payload["errorMessage"]


def test_the_worker_sees_its_package_and_nothing_of_the_developer(api: httpx.Client) -> None:
    seen = api.get("/environment").json()
    assert seen["modules"] == {"boto3": False, "moto": False}
    assert not [entry for entry in seen["path"] if "site-packages" in entry]
    assert seen["environ"]["GREETING"] == "hello"
    assert seen["environ"]["AWS_LAMBDA_FUNCTION_NAME"] == "probe-dev"
    assert "HOME" not in seen["environ"]
    assert "VIRTUAL_ENV" not in seen["environ"]


def test_a_redeployment_runs_the_new_code(api: httpx.Client, project: Project) -> None:
    before = project.api_id
    project.deploy("three")
    assert api.get("/").json()["version"] == "three"
    assert project.api_id == before


def test_many_threads_share_few_workers(project: Project) -> None:
    url = urlsplit(project.cloud.api_url("dev"))
    ids = []

    def call(index: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", url.port or 0, timeout=30)
        for _ in range(20):
            connection.request("GET", f"/dev/echo/{index}")
            answer = json.loads(connection.getresponse().read())
            assert answer["item"] == str(index)
            ids.append(answer["request_id"])
        connection.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(call, range(16)))
    assert len(set(ids)) == 320
    assert 1 <= len(project.cloud.functions["probe-dev"].pids) <= 2


def test_a_direct_invocation_answers_outside_of_the_lock(project: Project) -> None:
    client = project.client("lambda")
    done = threading.Event()

    def invoke_slowly() -> None:
        answer = client.invoke(FunctionName="probe-dev-broken", Payload=b'{"bytes": 10}')
        assert answer["Payload"].read() == b'"xxxxxxxxxx"'
        done.set()

    thread = threading.Thread(target=invoke_slowly)
    thread.start()
    client.list_functions()
    thread.join(20)
    assert done.is_set()
    failed = client.invoke(FunctionName="probe-dev-broken", Payload=b"{}")
    assert failed["FunctionError"] == "Unhandled"
    assert json.loads(failed["Payload"].read())["errorMessage"] == "broken on purpose"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName="nobody", Payload=b"{}")


def test_a_deleted_function_stops_its_workers(project: Project) -> None:
    function = project.cloud.functions["probe-dev-broken"]
    function.invoke({"bytes": 1})
    assert function.pids
    project.client("lambda").delete_function(FunctionName="probe-dev-broken")
    assert not function.pids
    assert "probe-dev-broken" not in project.cloud.functions
