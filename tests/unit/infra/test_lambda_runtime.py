from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest
from moto import mock_aws

from infra import lambda_runtime
from infra.errors import DeployError
from infra.target import Target

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        yield Target("prod", ENVIRON)


def deploy_api(target: Target, runtime: Any) -> None:
    """The API's function of a stage that was deployed before its runtime was recorded."""
    role = target.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    target.client("lambda").create_function(
        FunctionName="rollcall-prod", Runtime=runtime, Role=role["Role"]["Arn"],
        Handler="app.app", Code={"ZipFile": b"not a zip"},
    )  # fmt: skip


def chosen(target: Target, recorded: str | None, runtime: str, *, change: bool = False) -> str:
    return lambda_runtime.chosen(target, recorded, change=change, say=print, runtime=runtime)


@pytest.mark.parametrize("recorded", [None, lambda_runtime.UNKNOWN])
@pytest.mark.parametrize("runtime", ["python3.11", "python3.13", "python3.14"])
def test_a_new_stage_takes_the_python_that_deploys_it(
    target: Target, recorded: str | None, runtime: str
) -> None:
    assert chosen(target, recorded, runtime) == runtime


@pytest.mark.parametrize(
    ("present", "runtime"),
    [("python3.13", "python3.11"), ("python3.11", "python3.13"), ("python3.12", "python3.14")],
)
def test_another_python_is_refused_up_and_down_unless_it_is_asked_for(
    target: Target, present: str, runtime: str
) -> None:
    with pytest.raises(DeployError, match=f"runs on {present}.*--change-runtime") as caught:
        chosen(target, present, runtime)
    assert f"PYTHON={present}" in str(caught.value)
    assert chosen(target, present, runtime, change=True) == runtime
    assert chosen(target, present, present) == present


def test_a_stage_without_a_record_has_the_runtime_of_its_api(target: Target) -> None:
    deploy_api(target, "python3.13")
    for recorded in (None, lambda_runtime.UNKNOWN):
        with pytest.raises(DeployError, match=r"runs on python3\.13"):
            chosen(target, recorded, "python3.11")
    assert chosen(target, None, "python3.13") == "python3.13"


@pytest.mark.parametrize(("runtime", "warned"), [("python3.11", True), ("python3.13", False)])
def test_a_runtime_that_ends_is_warned_of(target: Target, runtime: str, warned: bool) -> None:
    lines: list[str] = []
    lambda_runtime.chosen(target, None, change=False, say=lines.append, runtime=runtime)
    assert [line for line in lines if "2027-06-30" in line and "2027-08-31" in line] == lines
    assert bool(lines) is warned


@pytest.mark.parametrize(
    ("endpoint", "warned"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}, False),
        ({"AWS_ENDPOINT_URL_LAMBDA": "http://localhost:4566"}, False),
        ({"AWS_ENDPOINT_URL": "http://[::1]:5000"}, False),
        ({"AWS_ENDPOINT_URL": "https://vpce-1.lambda.eu-central-1.vpce.amazonaws.com"}, True),
        ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:5000"}, True),
        ({}, True),
    ],
)
def test_an_emulated_account_is_not_warned_of_the_dates_of_aws(
    endpoint: dict[str, str], warned: bool
) -> None:
    lines: list[str] = []
    lambda_runtime.chosen(
        Target("prod", {**ENVIRON, **endpoint}),
        "python3.11",
        change=False,
        say=lines.append,
        runtime="python3.11",
    )
    assert bool(lines) is warned


def test_the_documented_runtime_has_no_end_in_sight() -> None:
    assert lambda_runtime.DOCUMENTED not in lambda_runtime.ENDING


def test_the_runtime_is_the_one_that_chalice_takes() -> None:
    assert lambda_runtime.own().startswith("python3.")
