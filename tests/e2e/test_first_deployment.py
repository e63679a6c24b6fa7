"""A stage's life in an account that allows the deployer no more than the policies that we ship.

The proof of the policies in both directions: what a deployment, its updates and its destruction ask
for on the wire is allowed, or they fail; and whatever is allowed was asked for, or is what
CloudFormation asks for in the deployer's name (`tests/contract/stack_privileges.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from infra import application, denied
from infra.deploy import Deployment, deploy
from infra.deployer_policy import rendered
from infra.destroy import destroy
from infra.emulator import settling
from infra.emulator.account import ACCOUNT, REGION
from infra.emulator.authorization import Authorization
from infra.emulator.cloud import EmulatedCloud
from infra.emulator.iam_policies import Grant, Use, grants
from infra.errors import DeployError
from infra.inventory import live_apis
from infra.local_stack import emulated_target
from infra.target import Target
from tests.contract.stack_privileges import stack_uses
from tests.e2e.checkouts import clone

STREAMED = {"publish_events", "run_jobs", "seal_evidence"}
DEPLOYER = "deployer"
VALUES = {"Stage": "prod", "Account": ACCOUNT, "Region": REGION, "Partition": "aws"}
POLICIES = rendered(VALUES)
PARAMETERS = {
    "EventDestinationUrl": "https://events.example.com/in",
    "DomainName": "api.example.com",
    "CertificateArn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0",
    "ReservedConcurrency": "run_jobs=2",
}
# Asked for only when something goes wrong, or where a runtime of before is looked up.
UNSEEN = {"cloudformation:DescribeStackEvents"}


@dataclass
class Rig:
    """A stage, and what was allowed and asked for."""

    cloud: EmulatedCloud
    target: Target
    root: Path
    authorization: Authorization
    taken_away: set[str]
    """Actions that the deployer may not do for a while."""
    lines: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    first: Deployment | None = None

    def deploy(self, **changes: Any) -> Deployment:
        target = replace(self.target, **{"parameters": {}, "tags": None, **changes})
        return deploy(target, self.root, say=self.lines.append, sleep=self.slept.append)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    root = tmp_path_factory.mktemp("first")
    allowed = grants(POLICIES.values())
    taken_away: set[str] = set()

    def allows(use: Use) -> bool:
        return use.action not in taken_away and any(one.covers(use) for one in allowed)

    with EmulatedCloud(root / "cloud", concurrency=110) as cloud:
        emulated = emulated_target(cloud, {}, "prod")
        target = replace(emulated, environ={**emulated.environ, "AWS_ACCESS_KEY_ID": DEPLOYER})
        authorization = Authorization(DEPLOYER, allows)
        rig = Rig(cloud, target, clone(root / "a"), authorization, taken_away)
        for interceptors in cloud.interceptors:
            interceptors.insert(0, rig.authorization.intercept)
        refusals = cloud.refuse_while_settling()
        rig.first = rig.deploy(parameters=PARAMETERS, tags={"team": "core"})
        rig.refused = refusals.refused
        yield rig


def test_it_goes_through_what_aws_refuses_while_a_role_is_new(rig: Rig) -> None:
    assert set(rig.refused) == {settling.MAPPING, settling.NOTIFICATION}
    assert rig.slept == [application.PAUSE_SECONDS] * len(rig.refused)
    assert rig.first is not None
    assert list(live_apis(rig.target)) == [rig.first.rest_api_id], "there is one API, not three"
    mappings = rig.target.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    found = sorted(mapping["FunctionArn"].rsplit("-", 1)[1] for mapping in mappings)
    assert found == sorted(STREAMED), "each once"
    wired = rig.target.client("s3").get_bucket_notification_configuration(
        Bucket=rig.first.outputs["BucketName"]
    )
    assert len(wired["LambdaFunctionConfigurations"]) == 1
    assert httpx.get(f"{rig.first.url}/healthz", trust_env=False).status_code == 200
    for reason in ("the role may read the stream", "it may call the function"):
        assert any(reason in line and "again in 15 seconds" in line for line in rig.lines)


def test_everything_is_tagged_and_every_role_bounded_and_that_survives(rig: Rig) -> None:
    assert rig.first is not None
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    rig.deploy(parameters={"PermissionsBoundaryArn": boundary}, tags={"cost": "1"})
    assert tags_of(rig) == {"application": "rollcall", "stage": "prod", "cost": "1"}
    assert boundaries(rig) == {boundary}

    rig.deploy(parameters={"PermissionsBoundaryArn": "", "ReservedConcurrency": ""})
    assert tags_of(rig)["cost"] == "1"
    assert boundaries(rig) == {""}


def tags_of(rig: Rig) -> dict[str, str]:
    """What the API, a function and a role are tagged with, which is the same."""
    assert rig.first is not None
    api = rig.target.client("apigateway").get_rest_api(restApiId=rig.first.rest_api_id)["tags"]
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rollcall-prod-run_jobs"
    function = rig.target.client("lambda").list_tags(Resource=arn)["Tags"]
    function.pop("aws-chalice")
    role = rig.target.client("iam").get_role(RoleName="rollcall-prod-run_jobs")["Role"]
    own = {tag["Key"]: tag["Value"] for tag in role["Tags"]}
    assert api == function == own
    return dict(api)


def boundaries(rig: Rig) -> set[str]:
    client = rig.target.client("iam")
    names = [f"rollcall-prod-{name}" for name in (*STREAMED, "api_handler", "verify_upload")]
    bounds = [
        client.get_role(RoleName=name)["Role"].get("PermissionsBoundary", {}) for name in names
    ]
    return {bound.get("PermissionsBoundaryArn", "") for bound in bounds}


@pytest.mark.parametrize(
    "action",
    ["lambda:GetAccountSettings", "iam:PutRolePolicy", "s3:ListBucket"],
)
def test_a_right_that_is_missing_is_named(rig: Rig, action: str) -> None:
    rig.taken_away.add(action)
    try:
        with pytest.raises((DeployError, ClientError)) as caught:
            rig.deploy()
    finally:
        rig.taken_away.clear()
    error = caught.value
    said = denied.explain(error) if isinstance(error, ClientError) else str(error)
    assert f"missing right: {action}" in said


def test_nothing_is_granted_that_no_deployment_uses(rig: Rig) -> None:
    destroy(replace(rig.target, parameters={}), rig.root, say=rig.lines.append)
    uses = [*rig.authorization.uses, *stack_uses()]
    assert [
        use for use in uses if not any(one.covers(use) for one in grants(POLICIES.values()))
    ] == []
    unused = [
        (part, statement["Sid"], what)
        for part, document in POLICIES.items()
        for statement in document["Statement"]
        for what, found in by_action_and_resource(statement)
        if what not in UNSEEN and not any(one.covers(use) for one in found for use in uses)
    ]
    assert unused == []


def by_action_and_resource(statement: dict[str, Any]) -> Iterator[tuple[str, list[Grant]]]:
    """The grants of each action of a statement, and those of each resource."""
    found = grants([{"Statement": [statement]}])
    for action in statement["Action"]:
        yield action, [one for one in found if one.action == action]
    for resource in statement["Resource"]:
        yield resource, [one for one in found if one.resource == resource]
