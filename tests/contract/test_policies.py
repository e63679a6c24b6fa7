"""Least privilege, function by function, as it is deployed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra import template
from infra.emulator.iam_policies import Use
from infra.emulator.iam_policies import grants as policy_grants
from infra.project import environment, render_policy
from infra.release_key import KEY_SHA256
from infra.target import Target

ROOT = Path(__file__).resolve().parents[2]
CHALICE = ROOT / ".chalice"
CONFIG: dict[str, Any] = json.loads((CHALICE / "config.json").read_text("utf-8"))
FUNCTIONS = [
    "api_handler",
    "publish_events",
    "run_jobs",
    "seal_evidence",
    "sweep_presence",
    "verify_upload",
]
VALUES = {
    **{
        name: f"arn:aws:service:eu-central-1:123456789012:{name}"
        for name in template.load()["Outputs"]
    },
    "Stage": "prod",
    "Account": "123456789012",
    "Region": "eu-central-1",
    "Partition": "aws",
    KEY_SHA256: "ab" * 32,
}
APPEND_ONLY = {"AuditRecordsTableArn"}
DELETE_ALLOWED = {
    ("api_handler", "AgentIdentitiesTableArn"),
    ("run_jobs", "AgentIdentitiesTableArn"),
    # Reserved names, memberships and their mirrors, and what belonged to a deleted parent.
    ("api_handler", "OrganizationsTableArn"),
    ("api_handler", "PeopleTableArn"),
    ("run_jobs", "OrganizationsTableArn"),
    ("run_jobs", "PeopleTableArn"),
}


def statements(function: str, **values: str) -> list[dict[str, Any]]:
    path = CHALICE / CONFIG["lambda_functions"][function]["iam_policy_file"]
    document = render_policy(function, path.read_text("utf-8"), {**VALUES, **values})
    assert document["Version"] == "2012-10-17"
    found: list[dict[str, Any]] = document["Statement"]
    return found


def grants(function: str) -> set[tuple[str, str]]:
    return {
        (action, resource)
        for statement in statements(function)
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


def test_every_function_is_configured_with_a_policy_of_its_own() -> None:
    functions = CONFIG["lambda_functions"]
    assert sorted(functions) == FUNCTIONS
    files = [settings["iam_policy_file"] for settings in functions.values()]
    assert files == [f"policy-{name}.json" for name in functions]
    assert {path.name for path in CHALICE.glob("policy-*.json")} == set(files)


def test_chalice_never_guesses_a_policy() -> None:
    assert CONFIG["autogen_policy"] is False
    scopes = [*CONFIG["stages"].values(), *CONFIG["lambda_functions"].values()]
    assert all(scope.get("autogen_policy", False) is False for scope in scopes)
    assert all("iam_role_arn" not in scope for scope in scopes)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_action_and_no_resource_is_a_wildcard(function: str) -> None:
    for statement in statements(function):
        assert statement["Effect"] == "Allow"
        assert isinstance(statement["Action"], list)
        assert isinstance(statement["Resource"], list)
        assert not {"NotAction", "NotResource", "Principal"} & set(statement)
    for action, resource in grants(function):
        assert re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action), action
        assert resource.startswith("arn:"), resource
        stem = resource.removesuffix("/*").removesuffix(":*")
        assert "*" not in stem, resource
        assert "?" not in resource, resource
        if stem != resource:
            assert re.search(
                r"/(incoming|artifacts|exports|releases|batches|stream)$|:log-group:/aws/", stem
            ), resource


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_writes_only_its_own_logs(function: str) -> None:
    suffix = "" if function == "api_handler" else f"-{function}"
    own = f"arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/rollcall-prod{suffix}:*"
    logs = {
        (action, resource) for action, resource in grants(function) if action.startswith("logs:")
    }
    # Not CreateLogGroup: the stack makes the group, with a retention.
    assert logs == {("logs:CreateLogStream", own), ("logs:PutLogEvents", own)}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_evidence_is_append_only_and_rows_are_not_deleted(function: str) -> None:
    for action, resource in grants(function):
        output = resource.rsplit(":", 1)[-1]
        if action in {"dynamodb:UpdateItem", "dynamodb:DeleteItem"}:
            assert output not in APPEND_ONLY
        if action == "dynamodb:DeleteItem":
            assert (function, output) in DELETE_ALLOWED


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_function_administers_scans_or_uses_partiql(function: str) -> None:
    forbidden = re.compile(
        r"dynamodb:(Scan|BatchWriteItem|PartiQL\w+|Describe(?!Stream)\w+|(Create|Update|Delete)Table)"
        r"|(iam|sts|lambda|cloudformation):\w+|kms:(?!(Sign|Verify)$)\w+"
        r"|secretsmanager:(?!GetSecretValue$)\w+"
    )
    assert not [action for action, _ in grants(function) if forbidden.fullmatch(action)]


def test_only_the_api_reads_the_signing_secret() -> None:
    readers = [
        name for name in FUNCTIONS if any(a.startswith("secretsmanager:") for a, _ in grants(name))
    ]
    assert readers == ["api_handler"]


def test_no_function_uses_the_release_key_or_writes_a_release() -> None:
    for function in FUNCTIONS:
        for action, resource in grants(function):
            assert not resource.endswith(":ReleaseKeyArn"), function
            if "BucketArn" in resource and not action.startswith("s3:Get"):
                assert "releases" not in resource, function
    readers = {name for name in FUNCTIONS for _, r in grants(name) if r.endswith("/releases/*")}
    assert readers == {"api_handler"}


def test_only_the_sealer_signs_and_writes_batches() -> None:
    for function in FUNCTIONS:
        used = {
            action
            for action, resource in grants(function)
            if resource.rsplit(":", 1)[-1].startswith(("SigningKeyArn", "EvidenceBucketArn"))
        }
        if function == "seal_evidence":
            assert used == {
                "kms:Sign", "kms:Verify", "s3:GetObject", "s3:ListBucket", "s3:PutObject",
                "s3:PutObjectRetention",
            }  # fmt: skip
        else:
            assert used <= {"s3:GetObject", "s3:ListBucket"}, function


def test_the_queue_takes_what_fails_from_every_function_that_nobody_waits_for() -> None:
    senders = {name for name in FUNCTIONS for action, _ in grants(name) if action[:4] == "sqs:"}
    # For verify_upload Lambda sends, in the name of the function's role.
    assert senders == {"publish_events", "run_jobs", "seal_evidence", "verify_upload"}
    for name in senders:
        used = {grant for grant in grants(name) if grant[0].startswith("sqs:")}
        assert used == {("sqs:SendMessage", VALUES["DeadLetterQueueArn"])}


def test_a_table_index_is_granted_only_where_the_template_has_it() -> None:
    tables = {
        f"{name}Arn": {i["IndexName"] for i in r["Properties"].get("GlobalSecondaryIndexes", [])}
        for name, r in template.load()["Resources"].items()
        if r["Type"] == "AWS::DynamoDB::Table"
    }
    for function in FUNCTIONS:
        for _, resource in grants(function):
            table, _, index = resource.rsplit(":", 1)[-1].partition("/index/")
            assert not index or index in tables[table], resource


def test_every_setting_that_the_functions_read_is_rendered() -> None:
    read = set(
        re.findall(r"ROLLCALL_[A-Z0-9_]+", (ROOT / "chalicelib" / "settings.py").read_text())
    )
    # From the stack alone: what the shell of one clone holds is not known to the next.
    rendered = environment(Target("prod", {"AWS_REGION": "eu-central-1"}), VALUES)
    # Loopback is for tests of logins alone; no deployed stage can have it.
    assert read - {"ROLLCALL_OIDC_LOOPBACK_CA"} == {
        name for name in rendered if name.startswith("ROLLCALL_")
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_key_of_the_operators_own_is_used_through_dynamodb_alone(function: str) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/own"
    allowed = policy_grants([{"Statement": statements(function, TableKey=key)}])
    for context, is_allowed in (
        ({"kms:ViaService": "dynamodb.eu-central-1.amazonaws.com"}, True),
        ({"kms:ViaService": "s3.eu-central-1.amazonaws.com"}, False),
        ({}, False),
    ):
        assert any(one.covers(Use("kms:Decrypt", key, context)) for one in allowed) is is_allowed
    of_key = {one.action for one in allowed if one.resource == key}
    assert of_key == {"kms:Decrypt"}


@pytest.mark.parametrize("key", ["aws-owned", "aws-managed"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_keys_of_aws_need_no_right(function: str, key: str) -> None:
    assert statements(function, TableKey=key) == statements(function)
    assert "kms:Decrypt" not in {action for action, _ in grants(function)}
