"""`deployer-policy`: the IAM policies that deploying one stage needs, and no other."""

from __future__ import annotations

import json
import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from infra.console import say
from infra.errors import DeployError
from infra.target import Target

POLICIES = Path(__file__).with_name("policies")
PARTS = ("stack", "functions", "api", "options")
"""`options` is for an event destination or a custom domain alone."""
_ACCOUNT = re.compile(r"[0-9]{12}")
_BOUNDARY = re.compile(r"arn:[a-z-]+:iam::([0-9]{12}|aws):policy/\S+")


def rendered(values: Mapping[str, str], boundary: str = "") -> dict[str, dict[str, Any]]:
    """The policies by part.

    With a boundary, roles can be made and given rights only within it, and it cannot be taken off.

    Args:
        values: `Stage`, `Account`, `Region` and `Partition`.
        boundary: ARN of the policy that bounds the stage's roles; empty for none.
    """
    found: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        text = (POLICIES / f"deployer-{part}.json").read_text("utf-8")
        document = json.loads(Template(text).substitute(values))
        if boundary:
            document["Statement"] = [
                _bounded(one, boundary)
                for one in document["Statement"]
                if not one["Sid"].startswith("Unbound")
            ]
        found[part] = document
    return found


def _bounded(statement: dict[str, Any], boundary: str) -> dict[str, Any]:
    if not statement["Sid"].startswith("Bound"):
        return statement
    return {**statement, "Condition": {"StringEquals": {"iam:PermissionsBoundary": boundary}}}


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra deployer-policy`."""
    parser.add_argument("--stage", required=True, help="name of the stage, such as prod")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="where the JSON files go"
    )
    parser.add_argument("--account", help="number of the account; default: the credentials' own")
    parser.add_argument(
        "--permissions-boundary-arn",
        default="",
        metavar="ARN",
        help="the same as of `deploy`: roles cannot be made without it",
    )


def run(args: Namespace) -> int:
    """Write the policies, one file each."""
    target = Target(args.stage, os.environ)
    if args.account is not None and not _ACCOUNT.fullmatch(args.account):
        raise DeployError(f"{args.account!r} is no account: 12 digits")
    boundary = args.permissions_boundary_arn
    if boundary and not _BOUNDARY.fullmatch(boundary):
        raise DeployError(f"{boundary!r} is no ARN of a policy")
    values = {
        "Stage": target.stage,
        "Account": args.account or target.account,
        "Region": target.region,
        "Partition": target.region_partition,
    }
    args.output.mkdir(parents=True, exist_ok=True)
    for part, document in rendered(values, boundary).items():
        file = args.output / f"{target.stack_name}-deployer-{part}.json"
        file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
        say(str(file))
    return 0
