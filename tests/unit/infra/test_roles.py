from argparse import ArgumentTypeError
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from moto import mock_aws

from infra import roles, stack, tags
from infra.target import Target

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)
FUNCTIONS = ("api_handler", "run_jobs")
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
ANOTHER = "arn:aws:iam::123456789012:policy/another"
OWN = {"application": "rollcall", "stage": "prod"}


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        yield Target("prod", ENVIRON, tags={})


def role(target: Target, function: str) -> dict[str, Any]:
    name = f"rollcall-prod-{function}"
    found: dict[str, Any] = target.client("iam").get_role(RoleName=name)["Role"]
    return found


def tags_of(target: Target, function: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in role(target, function)["Tags"]}


def boundary_of(target: Target, function: str) -> str | None:
    bounded = role(target, function).get("PermissionsBoundary", {})
    arn: str | None = bounded.get("PermissionsBoundaryArn")
    return arn


def test_roles_are_made_with_boundary_and_tags_and_chalice_is_told_of_them(target: Target) -> None:
    lines: list[str] = []
    tagged = replace(target, tags={"team": "edge"})
    made = roles.ensure(tagged, FUNCTIONS, BOUNDARY, say=lines.append)
    assert [entry["name"] for entry in made] == ["api_handler_role", "run_jobs_role"]
    assert len(lines) == len(FUNCTIONS)
    for entry, function in zip(made, FUNCTIONS, strict=True):
        assert entry["role_arn"] == role(target, function)["Arn"]
        assert boundary_of(target, function) == BOUNDARY
        assert tags_of(target, function) == {**OWN, "team": "edge"}
        trust = role(target, function)["AssumeRolePolicyDocument"]["Statement"][0]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


@pytest.mark.parametrize(
    ("before", "after"),
    [("", BOUNDARY), (BOUNDARY, ANOTHER), (BOUNDARY, ""), (BOUNDARY, BOUNDARY), ("", "")],
)
def test_a_boundary_is_set_changed_taken_away_and_else_left_alone(
    target: Target, before: str, after: str
) -> None:
    roles.ensure(target, FUNCTIONS, before, say=print)
    lines: list[str] = []
    roles.ensure(target, FUNCTIONS, after, say=lines.append)
    assert lines == []
    assert boundary_of(target, "run_jobs") == (after or None)


def test_tags_follow_and_those_that_are_no_longer_asked_for_go(target: Target) -> None:
    first = replace(target, tags={"team": "edge", "cost": "1"})
    roles.ensure(first, FUNCTIONS, "", say=print)
    roles.ensure(replace(target, tags={"cost": "2"}), FUNCTIONS, "", say=print)
    assert tags_of(target, "run_jobs") == {**OWN, "cost": "2"}


def test_a_role_of_before_gets_its_tags(target: Target) -> None:
    target.client("iam").create_role(
        RoleName="rollcall-prod-run_jobs", AssumeRolePolicyDocument="{}"
    )
    roles.ensure(target, ("run_jobs",), BOUNDARY, say=print)
    assert tags_of(target, "run_jobs") == OWN
    assert boundary_of(target, "run_jobs") == BOUNDARY


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}), ("team=edge", {"team": "edge"}), ("a=1,b=", {"a": "1", "b": ""}),
        ("cost center=4 2", {"cost center": "4 2"}), ("url=a=b", {"url": "a=b"}),
    ],
)  # fmt: skip
def test_tags_that_can_be(text: str, found: dict[str, str]) -> None:
    assert tags.parse(text) == found


@pytest.mark.parametrize(
    "text",
    ["team", "=x", "a=1,", "a=1,a=2", "stage=x", "application=x", "aws:a=1", "AWS:a=1", "a=\n",
     "a=\u00e9", f"{'a' * 129}=1", f"a={'1' * 257}", "a=1;b=2,", ",",
     ",".join(f"k{n}=1" for n in range(49))],
)  # fmt: skip
def test_tags_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        tags.parse(text)


def test_the_stack_keeps_its_tags_until_others_are_asked_for(target: Target) -> None:
    present: Any = {"Tags": [{"Key": key, "Value": value} for key, value in
                             {**OWN, "team": "edge"}.items()]}  # fmt: skip
    unasked = replace(target, tags=None)
    kept = {tag["Key"]: tag["Value"] for tag in stack._tags(unasked, present)}
    assert kept == {**OWN, "team": "edge"}
    asked = {tag["Key"]: tag["Value"] for tag in stack._tags(replace(target, tags={}), present)}
    assert asked == OWN
