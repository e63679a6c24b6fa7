from argparse import Namespace
from pathlib import Path
from types import MappingProxyType

import pytest

from infra import template
from infra.bootstrap import bootstrap
from infra.deploy import ROOT, deploy
from infra.errors import DeployError
from infra.project import tracked_config
from infra.stage_names import STAGE, derived, refuse_colliding
from infra.target import Target

# No endpoint that answers: what is refused is refused before anything is asked.
ENVIRON = MappingProxyType(
    {
        "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
)  # fmt: skip
FUNCTIONS = tuple(tracked_config(ROOT)["lambda_functions"])
TEMPLATE = """
Parameters:
  Stage: {{Type: String}}
Resources:
  One: {{Type: {kind}, Properties: {{{key}: !Sub "{one}"}}}}
  Other: {{Type: {kind}, Properties: {{{key}: !Sub "{other}"}}}}
"""


@pytest.mark.parametrize("stage", ["x-evidence", "prod-evidence", "a-b-evidence", "e-evidence"])
def test_a_stage_whose_bucket_is_anothers_evidence_bucket_is_refused(stage: str) -> None:
    with pytest.raises(DeployError, match=r"its bucket .* is also that of a stage") as caught:
        refuse_colliding(stage, FUNCTIONS)
    assert repr(stage.removesuffix("-evidence")) in str(caught.value)


@pytest.mark.parametrize(
    "stage",
    ["prod", "evidence", "x-evidence2", "evidence-x", "xevidence", "dead-letters", "x-signing",
     "x-releases", "x-jobs", "x-people", "x-destination", "x-dead-letters", "x-event"],
)  # fmt: skip
def test_any_other_stage_is_as_good_as_it_was(stage: str) -> None:
    refuse_colliding(stage, FUNCTIONS)


@pytest.mark.parametrize(
    ("kind", "key", "one", "other", "refused"),
    [
        ("AWS::SQS::Queue", "QueueName", "r-${Stage}-q", "r-${Stage}-late-q", "x-late"),
        ("AWS::DynamoDB::Table", "TableName", "r-${Stage}-rows", "r-${Stage}-old-rows", "x-old"),
        ("AWS::KMS::Alias", "AliasName", "alias/r-${Stage}", "alias/r-${Stage}-signs", "x-signs"),
        ("AWS::SecretsManager::Secret", "Name", "r-${Stage}", "r-${Stage}-2", "x-2"),
        ("AWS::Logs::LogGroup", "LogGroupName", "/r/${Stage}", "/r/${Stage}-api", "x-api"),
        ("AWS::Events::Rule", "Name", "r-${Stage}-all", "r-${Stage}-not-all", "x-not"),
        ("AWS::SQS::Queue", "QueueName", "r-${Stage}-late-q", "r-${Stage}-q", "x-late"),
    ],
)
def test_the_rule_holds_for_every_kind_of_name(
    tmp_path: Path, kind: str, key: str, one: str, other: str, refused: str
) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(TEMPLATE.format(kind=kind, key=key, one=one, other=other))
    refuse_colliding("x", (), path)
    with pytest.raises(DeployError, match="'x'"):
        refuse_colliding(refused, (), path)


def test_names_of_functions_count_too() -> None:
    refuse_colliding("x-sweep", ("sweep_presence",))
    with pytest.raises(DeployError, match=f"its function rollcall-x-sweep is also .* {'x'!r}"):
        refuse_colliding("x-sweep", ("sweep",))


def test_every_name_that_the_template_makes_of_the_stage_is_looked_at() -> None:
    names = {f"{one.before}{STAGE}{one.after}" for one in derived(FUNCTIONS)}
    named = [
        value["Fn::Sub"]
        for resource in template.load()["Resources"].values()
        for key in ("BucketName", "TableName", "QueueName", "AliasName", "Name", "LogGroupName")
        if isinstance(value := resource["Properties"].get(key), dict) and "Fn::Sub" in value
    ]
    assert len(named) > 25
    assert set(named) <= names


def test_no_two_names_of_one_stage_are_equal() -> None:
    names = [(one.kind, f"{one.before}x{one.after}") for one in derived(FUNCTIONS)]
    assert len(names) == len(set(names))


def test_deployment_and_bootstrap_are_refused_before_anything_is_asked() -> None:
    target = Target("x-evidence", ENVIRON)
    with pytest.raises(DeployError, match="'x-evidence' cannot be a stage"):
        deploy(target, say=print)
    with pytest.raises(DeployError, match="'x-evidence' cannot be a stage"):
        bootstrap(target, Namespace())
