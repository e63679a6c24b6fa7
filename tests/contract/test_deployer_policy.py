"""The deployer's policies: what CloudFormation needs is there, and no resource without a reason."""

import fnmatch
import json
import re
from pathlib import Path
from string import Template

import pytest

from infra import __main__ as commands
from infra.deployer_policy import PARTS, POLICIES, rendered
from infra.emulator.iam_policies import Use, grants
from tests.contract.stack_privileges import (
    ACCOUNT,
    LEFT_OUT,
    REGION,
    STAGE,
    handlers,
    is_left_out,
    stack_uses,
)

VALUES = {"Stage": STAGE, "Account": ACCOUNT, "Region": REGION, "Partition": "aws"}
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
# Not in the name of the stage, because AWS does not let it be: each with the reason.
UNNAMED = {
    "*": "actions without a resource, and DescribeSecret of a secret that is not there yet",
    "event-source-mapping:*": "ids are Lambda's; changes only of this stage's functions",
    "/restapis": "ids are API Gateway's", "/restapis/*": "ids are API Gateway's",
    "/tags/*": "of an API, by its id", "/domainnames": "the path of all", "/domainnames/*": "yours",
    "key/*": "ids are KMS's", "log-group:*": "to find one", "hostedzone/*": "yours",
    "change/*": "ids are Route 53's", "secret:EventDestinationSecret-*": "named by CloudFormation",
    "role/aws-service-role/ops.apigateway.amazonaws.com/*": "AWS's own",
    "role/aws-service-role/apidestinations.events.amazonaws.com/*": "AWS's own",
}  # fmt: skip
MANAGED_POLICY_CHARACTERS = 6144


def test_what_cloudformation_does_for_the_stack_is_allowed() -> None:
    allowed = grants(rendered(VALUES).values())
    missing = [use for use in stack_uses() if not any(grant.covers(use) for grant in allowed)]
    assert missing == []


def test_a_stage_needs_the_options_only_for_its_options() -> None:
    parts = rendered(VALUES)
    plain = grants(parts[part] for part in PARTS if part != "options")
    needed = {use.action.partition(":")[0] for use in stack_uses()
              if not any(grant.covers(use) for grant in plain)}  # fmt: skip
    assert needed == {"apigateway", "events", "iam", "kms", "route53", "secretsmanager", "sqs"}


def test_what_is_left_out_is_still_in_aws_schemas() -> None:
    for kind, patterns in LEFT_OUT.items():
        known = {action for actions in handlers(kind).values() for action in actions}
        for pattern in patterns:
            hit = [one for one in known if fnmatch.fnmatchcase(one, pattern)]
            assert hit, (kind, pattern)
        assert not all(is_left_out(kind, action) for action in known)


def test_no_action_is_a_wildcard_and_no_resource_wider_than_its_reason() -> None:
    for part in PARTS:
        text = (POLICIES / f"deployer-{part}.json").read_text("utf-8")
        document = json.loads(text)
        sids = [statement["Sid"] for statement in document["Statement"]]
        assert len(sids) == len(set(sids))
        for statement in document["Statement"]:
            assert statement["Effect"] == "Allow"
            assert statement["Action"] == sorted(set(statement["Action"]))
            for action in statement["Action"]:
                assert re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action), action
            for resource in statement["Resource"]:
                own = "rollcall-${Stage}" in resource
                assert own or resource.split(":", 5)[-1] in UNNAMED, (statement["Sid"], resource)


def test_a_role_is_passed_only_to_the_service_that_needs_it() -> None:
    allowed = grants(rendered(VALUES).values())
    own = f"arn:aws:iam::{ACCOUNT}:role/rollcall-{STAGE}-run_jobs"
    for service in ("ec2.amazonaws.com", "events.amazonaws.com", "lambda.amazonaws.com"):
        use = Use("iam:PassRole", own, {"iam:PassedToService": service})
        assert any(grant.covers(use) for grant in allowed) is (service[:6] == "lambda")
    for action in ("iam:AttachRolePolicy", "iam:CreateUser", "iam:CreateAccessKey", "kms:Sign",
                   "dynamodb:GetItem", "dynamodb:DeleteTable", "s3:DeleteBucket",
                   "kms:ScheduleKeyDeletion", "lambda:InvokeFunction"):  # fmt: skip
        assert not any(grant.action == action for grant in allowed), action
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rollcall-{STAGE}-runtime-signing-1"
    assert not any(g.covers(Use("secretsmanager:GetSecretValue", secret)) for g in allowed)


@pytest.mark.parametrize("action", ["kms:CreateGrant", "kms:Decrypt", "kms:Encrypt"])
def test_a_key_of_the_tables_is_used_through_dynamodb_alone(action: str) -> None:
    allowed = grants(rendered(VALUES).values())
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/own"
    for context, is_allowed in (
        ({"kms:ViaService": f"dynamodb.{REGION}.amazonaws.com"}, True),
        ({"kms:ViaService": f"s3.{REGION}.amazonaws.com"}, False),
        ({"kms:ViaService": "dynamodb.us-west-1.amazonaws.com"}, False),
        ({}, False),
    ):
        use = Use(action, key, context)
        assert any(grant.covers(use) for grant in allowed) is is_allowed, context


def test_with_a_boundary_no_role_is_made_or_changed_without_it() -> None:
    bounded = grants(rendered(VALUES, BOUNDARY).values())
    role = f"arn:aws:iam::{ACCOUNT}:role/rollcall-{STAGE}-run_jobs"
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"):
        for context, allowed in (
            ({"iam:PermissionsBoundary": BOUNDARY}, True),
            ({"iam:PermissionsBoundary": f"{BOUNDARY}2"}, False),
            ({}, False),
        ):
            use = Use(action, role, context)
            assert any(grant.covers(use) for grant in bounded) is allowed, (action, context)
    assert not any(grant.action == "iam:DeleteRolePermissionsBoundary" for grant in bounded)


@pytest.mark.parametrize("boundary", ["", BOUNDARY])
def test_each_fits_into_one_managed_policy(boundary: str) -> None:
    longest = {**VALUES, "Stage": "s" * 16, "Region": "ap-southeast-1"}
    for part, document in rendered(longest, boundary).items():
        assert len(json.dumps(document, separators=(",", ":"))) <= MANAGED_POLICY_CHARACTERS, part


def test_the_command_writes_them_without_asking_aws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-gov-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    arguments = ["deployer-policy", "--stage", "x", "--account", ACCOUNT, "--output", str(tmp_path)]
    assert commands.main(arguments) == 0
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == sorted(f"rollcall-x-deployer-{part}.json" for part in PARTS)
    text = (tmp_path / files[0]).read_text()
    assert "arn:aws-us-gov:apigateway:us-gov-west-1::/restapis" in text
    assert not Template(text).get_identifiers()


@pytest.mark.parametrize(
    "arguments",
    [["--account", "12"], ["--account", "12345678901x"],
     ["--account", ACCOUNT, "--permissions-boundary-arn", "boundary"]],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("AWS_REGION", REGION)
    own = ["deployer-policy", "--stage", "x", "--output", str(tmp_path)]
    assert commands.main([*own, *arguments]) == 1
    assert list(tmp_path.iterdir()) == []
