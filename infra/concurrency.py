"""How many invocations may run at a time: the account's limit, and what functions reserve of it.

Every `chalice deploy` removes a reservation that its configuration does not have. So reservations
are a parameter of the stack, and one that was set by hand stops a deployment.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

from infra.errors import DeployError
from infra.inventory import unless_absent

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from infra.console import Say
    from infra.target import Target

PARAMETER = "ReservedConcurrency"
# Below this, a fleet's beats and the functions behind them throttle each other. The default of an
# account is 1,000, but a new one may have 10.
LOW = 100
# Lambda keeps so much of the account's limit for functions without a reservation.
UNRESERVED = 100
_ITEM = re.compile(r"(?P<function>[a-z_]+)=(?P<number>[0-9]{1,6})")


def parse(text: str, functions: Collection[str]) -> dict[str, int]:
    """Reservations by function, from `api_handler=50,run_jobs=2`; 0 stops a function.

    Raises:
        DeployError: it is not of that form, or names a function twice or one that is not there.
    """
    reserved: dict[str, int] = {}
    for item in text.split(",") if text else ():
        found = _ITEM.fullmatch(item)
        if found is None:
            raise DeployError(f"reserved concurrency {item!r}: write FUNCTION=NUMBER, with commas")
        name = found["function"]
        if name not in functions:
            raise DeployError(
                f"reserved concurrency: there is no function {name}; there are "
                + ", ".join(sorted(functions))
            )
        if name in reserved:
            raise DeployError(f"reserved concurrency: {name} is named twice")
        reserved[name] = int(found["number"])
    return reserved


def check(target: Target, recorded: str | None, functions: Collection[str], *, say: Say) -> None:
    """Look at the account and the functions before anything is changed.

    Args:
        target: the stage, with the parameters that were asked for.
        recorded: the reservations that the stack has now.
        functions: Chalice's names of the functions.
        say: takes a warning.

    Raises:
        DeployError: the reservations cannot be, or one that was set by hand would be removed.
    """
    asked = target.parameters.get(PARAMETER)
    reserved = parse(recorded or "" if asked is None else asked, functions)
    client: LambdaClient = target.client("lambda")
    limit = client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    if limit < LOW:
        say(
            f"warning: this account runs {limit} invocations at a time in {target.region}, for all "
            "its functions together; a fleet needs more. Ask for the default of 1,000 (Service "
            "Quotas, AWS Lambda, Concurrent executions)"
        )
    if sum(reserved.values()) > max(0, limit - UNRESERVED):
        raise DeployError(
            f"reserved concurrency: {sum(reserved.values())} is too much. The account's limit is "
            f"{limit}, of which {UNRESERVED} cannot be reserved"
        )
    if asked is None:
        _refuse_to_remove(target, client, reserved, functions)


def _refuse_to_remove(
    target: Target, client: LambdaClient, reserved: Mapping[str, int], functions: Collection[str]
) -> None:
    live: dict[str, int] = {}
    for function in functions:
        ask = partial(client.get_function_concurrency, FunctionName=target.function_name(function))
        number = (unless_absent(ask) or {}).get("ReservedConcurrentExecutions")
        if number is not None:
            live[function] = number
    changed = {name: number for name, number in live.items() if reserved.get(name) != number}
    if changed:
        kept = ",".join(f"{name}={number}" for name, number in {**reserved, **live}.items())
        raise DeployError(
            "a reserved concurrency was set by hand and would be lost: "
            + ", ".join(f"{number} of {name}" for name, number in changed.items())
            + f". Keep it with `--reserved-concurrency {kept}`, or say what shall be instead "
            "('' for none)"
        )
