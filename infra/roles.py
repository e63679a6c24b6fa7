"""The functions' roles, made before Chalice would: it knows neither tags nor a boundary.

Chalice takes over a role of the right name that its state has, and gives it its policy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from infra.inventory import role_entry, unless_absent

if TYPE_CHECKING:
    from infra.console import Say
    from infra.inventory import Entry
    from infra.target import Target

BOUNDARY = "PermissionsBoundaryArn"
"""The stack's parameter of it."""
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def ensure(target: Target, functions: Iterable[str], boundary: str, *, say: Say) -> list[Entry]:
    """Make every function's role, or bring its tags and boundary up to date.

    Args:
        target: the stage, with the tags it shall have.
        functions: Chalice's names of the functions.
        boundary: ARN of the policy that bounds the roles; empty for none.
        say: takes a line for each new role.

    Returns:
        The roles as Chalice's state has them.
    """
    return [_ensure(target, function, boundary, say) for function in functions]


def _ensure(target: Target, function: str, boundary: str, say: Say) -> Entry:
    client = target.client("iam")
    name = target.role_name(function)
    found = unless_absent(lambda: client.get_role(RoleName=name))
    if found is None:
        say(f"Creating IAM role: {name}")
        bounded = {"PermissionsBoundary": boundary} if boundary else {}
        made = client.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps(_TRUST),
            Tags=[{"Key": key, "Value": value} for key, value in target.all_tags.items()],
            **bounded,
        )
        return role_entry(function, made["Role"]["Arn"], name)
    role = found["Role"]
    _bound(target, role, boundary)
    _tag(target, role)
    return role_entry(function, role["Arn"], name)


def _bound(target: Target, role: Mapping[str, Any], boundary: str) -> None:
    client = target.client("iam")
    present = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "")
    if boundary and present != boundary:
        client.put_role_permissions_boundary(
            RoleName=role["RoleName"], PermissionsBoundary=boundary
        )
    elif present and not boundary:
        client.delete_role_permissions_boundary(RoleName=role["RoleName"])


def _tag(target: Target, role: Mapping[str, Any]) -> None:
    client, wanted = target.client("iam"), target.all_tags
    present = {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])}
    if gone := [key for key in present if key not in wanted]:
        client.untag_role(RoleName=role["RoleName"], TagKeys=gone)
    if new := {key: value for key, value in wanted.items() if present.get(key) != value}:
        tags = [{"Key": key, "Value": value} for key, value in new.items()]
        client.tag_role(RoleName=role["RoleName"], Tags=tags)
