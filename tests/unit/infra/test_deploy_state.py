import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from moto import mock_aws

from infra import chalice_state
from infra.chalice_state import decide
from infra.errors import DeployError
from infra.project import Project
from infra.target import Target

SERVING = {"api1": frozenset({"prod"})}
NOBODY: dict[str, frozenset[str]] = {}
ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)
BUCKET = "the-bucket"


def a_state(api: str | None) -> dict[str, Any]:
    entries = [{"name": "api_handler", "resource_type": "lambda_function", "lambda_arn": "arn:f"}]
    if api:
        entries.append({"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api})
    return {"schema_version": "2.0", "backend": "api", "resources": entries}


def test_the_first_deployment_starts_from_nothing() -> None:
    assert decide(None, None, NOBODY, "prod") is None


def test_the_buckets_state_wins_over_a_local_one() -> None:
    apis = {**SERVING, "api2": frozenset({"prod"})}
    assert decide(a_state("api1"), a_state("api2"), apis, "prod") == a_state("api1")


def test_a_local_state_counts_when_the_bucket_has_none_and_it_is_still_true() -> None:
    assert decide(None, a_state("api1"), SERVING, "prod") == a_state("api1")


def test_a_local_state_of_a_destroyed_stage_is_ignored() -> None:
    assert decide(None, a_state("gone"), NOBODY, "prod") is None


def test_no_state_beside_a_serving_api_is_refused_and_the_way_out_named() -> None:
    with pytest.raises(DeployError, match=r"--adopt api1"):
        decide(None, None, SERVING, "prod")


def test_another_stages_api_of_the_same_name_is_no_obstacle() -> None:
    assert decide(None, None, SERVING, "dev") is None


def test_a_state_without_an_api_does_not_excuse_a_second_one() -> None:
    with pytest.raises(DeployError, match="api1"):
        decide(a_state(None), None, SERVING, "prod")


def test_a_state_whose_api_is_gone_is_refused_rather_than_replaced_by_a_new_url() -> None:
    with pytest.raises(DeployError, match="does not exist"):
        decide(a_state("gone"), a_state("api1"), SERVING, "prod")


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        made = Target("prod", ENVIRON)
        made.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, "prod", ("api_handler", "run_jobs"))


def make_api(target: Target, stage: str | None) -> str:
    client = target.client("apigateway")
    api: str = client.create_rest_api(name="rollcall")["id"]
    if stage:
        root = client.get_resources(restApiId=api)["items"][0]["id"]
        client.put_method(
            restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE"
        )
        client.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
        client.create_deployment(restApiId=api, stageName=stage)
    return api


def make_role_and_stream(target: Target) -> str:
    target.client("iam").create_role(
        RoleName="rollcall-prod-run_jobs", AssumeRolePolicyDocument="{}", Path="/"
    )
    table = target.client("dynamodb").create_table(
        TableName="jobs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    arn: str = table["TableDescription"]["LatestStreamArn"]
    return arn


def make_function(target: Target, stream: str) -> str:
    client = target.client("lambda")
    made = client.create_function(
        FunctionName="rollcall-prod-run_jobs",
        Runtime="python3.11",
        Role="arn:aws:iam::123456789012:role/rollcall-prod-run_jobs",
        Handler="app.run_jobs",
        Code={"ZipFile": b"not a zip"},
    )
    mapping: str = client.create_event_source_mapping(
        EventSourceArn=stream, FunctionName="rollcall-prod-run_jobs", StartingPosition="LATEST"
    )["UUID"]
    assert made["FunctionArn"]
    return mapping


def test_a_second_clone_gets_the_state_that_the_first_one_kept(
    target: Target, project: Project, tmp_path: Path
) -> None:
    api = make_api(target, "prod")
    chalice_state.restore(target, project, BUCKET, adopt=api)
    chalice_state.keep(target, project, BUCKET)
    second = Project(tmp_path / "second", "prod", project.functions)
    chalice_state.restore(target, second, BUCKET)
    assert chalice_state.deployed_api(second) == api
    assert second.state_file.read_bytes() == project.state_file.read_bytes()


def test_a_stale_local_state_is_removed_when_nothing_is_deployed(
    target: Target, project: Project
) -> None:
    project.state_file.parent.mkdir(parents=True)
    project.state_file.write_text(json.dumps(a_state("gone")))
    chalice_state.restore(target, project, BUCKET)
    assert not project.state_file.exists()


def test_a_damaged_state_stops_the_deployment(target: Target, project: Project) -> None:
    target.client("s3").put_object(Bucket=BUCKET, Key=chalice_state.key("prod"), Body=b"{")
    with pytest.raises(DeployError, match="not JSON"):
        chalice_state.restore(target, project, BUCKET)


def test_adopting_an_api_that_does_not_exist_is_refused(target: Target, project: Project) -> None:
    with pytest.raises(DeployError, match="no REST API nowhere"):
        chalice_state.restore(target, project, BUCKET, adopt="nowhere")


def test_what_a_failed_first_deployment_made_is_recorded(target: Target, project: Project) -> None:
    stream = make_role_and_stream(target)
    mapping = make_function(target, stream)
    api = make_api(target, None)
    lines: list[str] = []
    chalice_state.complete(target, project, BUCKET, NOBODY, say=lines.append)
    kept = json.loads(
        target.client("s3").get_object(Bucket=BUCKET, Key="deploy-state/prod.json")["Body"].read()
    )
    by_type = {entry["resource_type"]: entry for entry in kept["resources"]}
    assert by_type["rest_api"]["rest_api_id"] == api
    assert by_type["dynamodb_event"]["event_uuid"] == mapping
    assert by_type["dynamodb_event"]["name"] == "run_jobs-dynamodb-event-source"
    assert by_type["iam_role"]["role_name"] == "rollcall-prod-run_jobs"
    # Chalice takes things down in the opposite order: the API first, roles last.
    assert [e["resource_type"] for e in kept["resources"]] == [
        "iam_role",
        "lambda_function",
        "dynamodb_event",
        "rest_api",
    ]
    assert lines
    chalice_state.restore(target, project, BUCKET)
    assert chalice_state.deployed_api(project) == api


def test_a_failure_before_anything_was_made_leaves_no_state(
    target: Target, project: Project
) -> None:
    chalice_state.complete(target, project, BUCKET, NOBODY, say=print)
    assert not project.state_file.exists()
    assert "Contents" not in target.client("s3").list_objects_v2(Bucket=BUCKET)


def test_a_deletion_that_was_interrupted_goes_on_with_what_is_left(
    target: Target, project: Project
) -> None:
    stream = make_role_and_stream(target)
    make_function(target, stream)
    stale = a_state("gone")
    target.client("s3").put_object(
        Bucket=BUCKET, Key=chalice_state.key("prod"), Body=json.dumps(stale).encode()
    )
    chalice_state.restore_for_deletion(target, project, BUCKET)
    left = json.loads(project.state_file.read_text())["resources"]
    assert {entry["name"] for entry in left} == {
        "run_jobs_role",
        "run_jobs",
        "run_jobs-dynamodb-event-source",
    }
