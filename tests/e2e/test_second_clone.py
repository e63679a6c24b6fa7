"""A deployment from a second clone keeps the API's URL, and the fleet that knows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra import lambda_runtime
from infra.console import say
from infra.deploy import Deployment, deploy
from infra.emulator.cloud import EmulatedCloud
from infra.errors import DeployError
from infra.inventory import api_url, live_apis
from infra.local_stack import bootstrap_child, emulated_target
from infra.target import Target
from tests.e2e.agent_faults.harness import AgentProcess
from tests.e2e.checkouts import clone


@dataclass(frozen=True)
class Rig:
    """A stage that the first clone deployed, with an agent that beats."""

    target: Target
    first: Deployment
    operator: dict[str, str]
    agent: AgentProcess


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    root = tmp_path_factory.mktemp("clones")
    with EmulatedCloud(root / "cloud") as cloud:
        told = {"PresenceBucketSeconds": "60", "ReservedConcurrency": "run_jobs=2,api_handler=40"}
        first = emulated_target(cloud, told, "prod")
        deployed = deploy(first, clone(root / "first"))
        target = emulated_target(cloud, {}, "prod")
        operator = bootstrap_child(target, root / "operator.json", 1, say)
        agent = AgentProcess(root / "host", deployed.url)
        assert agent.enroll(mint(operator)).returncode == 0
        assert agent.run("run", "--once").returncode == 0
        yield Rig(target, deployed, operator, agent)


def mint(operator: dict[str, str]) -> str:
    answer = httpx.post(
        f"{operator['url']}/api/v1/agent-enrollment/tokens",
        json={"environment": operator["environment"]},
        headers={"Authorization": f"Bearer {operator['operator_key']}"},
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def functions(target: Target) -> dict[str, str]:
    found: list[dict[str, Any]] = target.client("lambda").list_functions()["Functions"]
    return {function["FunctionName"]: function["CodeSha256"] for function in found}


def test_it_keeps_api_url_functions_and_fleet(rig: Rig, tmp_path: Path) -> None:
    before = functions(rig.target)
    second = clone(tmp_path / "second")
    with (second / "app.py").open("a") as file:
        file.write("\nSECOND_CLONE = True\n")

    deployed = deploy(rig.target, second)

    assert deployed.rest_api_id == rig.first.rest_api_id
    assert deployed.url == rig.first.url
    assert api_url(rig.target, deployed.rest_api_id) == api_url(rig.target, rig.first.rest_api_id)
    assert list(live_apis(rig.target)) == [rig.first.rest_api_id]
    after = functions(rig.target)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in after), "the new code is what runs"
    beat = rig.agent.run("run", "--once")
    assert beat.returncode == 0, beat.stderr
    another = AgentProcess(tmp_path / "another", deployed.url)
    assert another.enroll(mint(rig.operator)).returncode == 0
    assert not (second / ".local").exists()


def test_it_keeps_settings_that_only_the_first_clone_was_told(rig: Rig, tmp_path: Path) -> None:
    deployed = deploy(rig.target, clone(tmp_path / "second"))

    assert deployed.outputs["PresenceBucketSeconds"] == "60"
    client = rig.target.client("lambda")
    for name in functions(rig.target):
        variables = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        assert variables["ROLLCALL_PRESENCE_BUCKET_SECONDS"] == "60", name
    reserved = {
        name: client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        for name in functions(rig.target)
    }
    assert {name: number for name, number in reserved.items() if number is not None} == {
        "rollcall-prod": 40,
        "rollcall-prod-run_jobs": 2,
    }
    assert deployed.outputs["LambdaRuntime"] == lambda_runtime.own()
    failing = client.get_function_event_invoke_config(FunctionName="rollcall-prod-verify_upload")
    queue = deployed.outputs["DeadLetterQueueArn"]
    assert failing["DestinationConfig"]["OnFailure"] == {"Destination": queue}


def test_a_reservation_that_was_set_by_hand_stops_a_deployment_before_it_changes_anything(
    rig: Rig, tmp_path: Path
) -> None:
    client = rig.target.client("lambda")
    before = functions(rig.target)
    client.put_function_concurrency(
        FunctionName="rollcall-prod-verify_upload", ReservedConcurrentExecutions=3
    )
    try:
        with pytest.raises(DeployError, match="verify_upload=3"):
            deploy(rig.target, clone(tmp_path / "second"))
    finally:
        client.delete_function_concurrency(FunctionName="rollcall-prod-verify_upload")
    assert functions(rig.target) == before


def test_a_clone_that_finds_no_state_refuses_to_make_a_second_api(rig: Rig, tmp_path: Path) -> None:
    s3 = rig.target.client("s3")
    place = {"Bucket": rig.first.outputs["BucketName"], "Key": "deploy-state/prod.json"}
    state = s3.get_object(**place)["Body"].read()
    assert rig.first.rest_api_id in json.dumps(json.loads(state))
    s3.delete_object(**place)
    try:
        with pytest.raises(DeployError, match=f"--adopt {rig.first.rest_api_id}"):
            deploy(rig.target, clone(tmp_path / "third"))
    finally:
        s3.put_object(**place, Body=state)
    assert list(live_apis(rig.target)) == [rig.first.rest_api_id]
    assert rig.agent.run("run", "--once").returncode == 0
