from types import MappingProxyType
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra import concurrency
from infra.errors import DeployError
from infra.project import render_config
from infra.target import Target
from tests.unit.infra.test_project_rendering import OUTPUTS

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)
FUNCTIONS = ("api_handler", "run_jobs", "verify_upload")


class Lambda:
    """An account with a limit, and functions with reservations that were set by hand."""

    def __init__(self, limit: int, live: dict[str, int]) -> None:
        self.limit, self.live = limit, live

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"ConcurrentExecutions": self.limit}}

    def get_function_concurrency(self, FunctionName: str) -> dict[str, int]:  # noqa: N803
        if FunctionName == "rollcall-prod-verify_upload":  # not deployed yet
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "Get")
        number = self.live.get(FunctionName)
        return {} if number is None else {"ReservedConcurrentExecutions": number}


class Account(Target):
    def __init__(
        self, limit: int = 1000, live: dict[str, int] | None = None, asked: str | None = None
    ) -> None:
        parameters = {} if asked is None else {concurrency.PARAMETER: asked}
        super().__init__("prod", ENVIRON, parameters=parameters)
        object.__setattr__(self, "fake", Lambda(limit, live or {}))

    fake: Lambda

    def client(self, service: str) -> Any:
        assert service == "lambda"
        return self.fake


def check(account: Account, recorded: str | None = None) -> list[str]:
    lines: list[str] = []
    concurrency.check(account, recorded, FUNCTIONS, say=lines.append)
    return lines


@pytest.mark.parametrize(("limit", "warned"), [(10, True), (99, True), (100, False), (1000, False)])
def test_an_account_with_a_low_limit_is_warned_of_and_deployed_into(
    limit: int, warned: bool
) -> None:
    lines = check(Account(limit))
    assert bool(lines) is warned
    assert all(str(limit) in line and "Service Quotas" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("api_handler", "write FUNCTION=NUMBER"), ("api_handler=", "write FUNCTION=NUMBER"),
        ("api_handler=-1", "write FUNCTION=NUMBER"), ("api_handler=1.5", "write FUNCTION=NUMBER"),
        ("api_handler=1,", "write FUNCTION=NUMBER"), ("api_handler=1;run_jobs=2", "write FUNCTION"),
        ("api_handler=1, run_jobs=2", "write FUNCTION"), ("api_handler=\u0661", "write FUNCTION"),
        ("api_handler=9999999", "write FUNCTION"), (" ", "write FUNCTION"), ("5", "write FUNCTION"),
        ("nothing=5", "no function nothing"), ("api_handler=1,api_handler=1", "named twice"),
        ("api_handler=901", "too much"), ("api_handler=500,run_jobs=401", "too much"),
    ],
)  # fmt: skip
def test_a_reservation_that_cannot_be_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(DeployError, match=wrong):
        check(Account(asked=text))


@pytest.mark.parametrize(
    "text", ["", "api_handler=0", "api_handler=900", "api_handler=5,run_jobs=0"]
)
def test_a_reservation_that_can_be_passes(text: str) -> None:
    assert check(Account(asked=text)) == []


@pytest.mark.parametrize("limit", [10, 50, 100])
def test_an_account_with_a_low_limit_can_reserve_nothing(limit: int) -> None:
    with pytest.raises(DeployError, match="too much"):
        check(Account(limit, asked="api_handler=1"))
    check(Account(limit, asked="api_handler=0"))


@pytest.mark.parametrize(
    ("live", "recorded", "kept"),
    [
        ({"rollcall-prod": 5}, "", "api_handler=5"),
        ({"rollcall-prod": 0}, None, "api_handler=0"),
        ({"rollcall-prod-run_jobs": 2}, "api_handler=5", "api_handler=5,run_jobs=2"),
        ({"rollcall-prod": 7}, "api_handler=5", "api_handler=7"),
    ],
)
def test_a_reservation_that_was_set_by_hand_is_not_removed_without_a_word(
    live: dict[str, int], recorded: str | None, kept: str
) -> None:
    with pytest.raises(DeployError, match=f"--reserved-concurrency {kept}`"):
        check(Account(live=live), recorded)
    check(Account(live=live, asked=kept), recorded)
    check(Account(live=live, asked=""), recorded)


def test_a_reservation_of_the_stack_survives_also_where_a_hand_took_it_away() -> None:
    assert check(Account(live={"rollcall-prod": 5}), "api_handler=5") == []
    assert check(Account(live={}), "api_handler=5") == []


def test_reservations_reach_chalice_for_the_functions_that_have_one_and_no_other() -> None:
    tracked: dict[str, Any] = {"lambda_functions": {name: {} for name in FUNCTIONS}}
    outputs = {**OUTPUTS, concurrency.PARAMETER: "run_jobs=0"}
    functions = render_config(tracked, Target("prod", ENVIRON), outputs)["lambda_functions"]
    assert functions["run_jobs"]["reserved_concurrency"] == 0
    assert [name for name in functions if "reserved_concurrency" in functions[name]] == ["run_jobs"]
    assert tracked["lambda_functions"]["run_jobs"] == {}
