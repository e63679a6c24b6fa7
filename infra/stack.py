"""The stage's CloudFormation stack: created, updated, awaited, read."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra import denied, leftovers, template
from infra.errors import DeployError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.literals import CapabilityType
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef, StackTypeDef

    from infra.console import Say
    from infra.target import Target

_POLL_SECONDS = 5.0
_READY = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE"}
# The role by which EventBridge posts to the event destination; its name is CloudFormation's.
_CAPABILITIES: list[CapabilityType] = ["CAPABILITY_IAM"]
_STOPPED_HALFWAY = {"CREATE_FAILED", "UPDATE_FAILED"}


# By type and a word of AWS's reason.
_WHAT_TO_DO = {
    ("AWS::Events::EventBus", "rule"): (
        "the bus still has rules that the stage did not make: find them with "
        "`aws events list-rules --event-bus-name NAME`, remove their targets and then them, and "
        "run this again"
    ),
    ("AWS::SQS::Queue", "60 seconds"): (
        "a queue of this name was deleted less than a minute ago: run this again in a minute"
    ),
}


def describe(target: Target) -> StackTypeDef | None:
    """The stack as it is, or None where there is none."""
    client: CloudFormationClient = target.client("cloudformation")
    try:
        stacks = client.describe_stacks(StackName=target.stack_name)["Stacks"]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return None
        raise
    return stacks[0] if stacks and stacks[0]["StackStatus"] != "DELETE_COMPLETE" else None


def outputs(stack: StackTypeDef) -> dict[str, str]:
    """The stack's outputs by key."""
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def parameters(stack: StackTypeDef | None) -> dict[str, str]:
    """The stack's parameters by key; none where there is no stack."""
    found = stack.get("Parameters", []) if stack else []
    return {item["ParameterKey"]: item["ParameterValue"] for item in found}


def tags(target: Target, stack: StackTypeDef | None) -> dict[str, str]:
    """The stack's tags beside the stage's own ones; none where there is no stack."""
    found = stack.get("Tags", []) if stack else []
    return {item["Key"]: item["Value"] for item in found if item["Key"] not in target.own_tags}


def apply(target: Target, *, say: Say, path: Path = template.TEMPLATE) -> dict[str, str]:
    """Create the stack, or bring it to the template and parameters; no call where it is equal.

    Returns:
        The stack's outputs.

    Raises:
        DeployError: it cannot be done, with the reason of the resource that failed.
    """
    present = describe(target)
    if present is None:
        _create(target, path, say)
    elif _needs_update(target, present, path):
        _update(target, present, path, say)
    else:
        say(f"stack {target.stack_name}: up to date")
    done = describe(target)
    if done is None:
        raise DeployError(f"stack {target.stack_name} vanished while it was deployed")
    return outputs(done)


def delete(target: Target, *, say: Say) -> None:
    """Delete the stack and wait; resources that hold data stay, as the template says."""
    if describe(target) is None:
        return
    client: CloudFormationClient = target.client("cloudformation")
    client.delete_stack(StackName=target.stack_name)
    say(f"stack {target.stack_name}: deleting")
    while (stack := describe(target)) is not None:
        if stack["StackStatus"] == "DELETE_FAILED":
            raise DeployError(_failure(client, stack["StackId"], "deleted"))
        time.sleep(_POLL_SECONDS)


def _create(target: Target, path: Path, say: Say) -> None:
    leftovers.refuse(target, path)
    client: CloudFormationClient = target.client("cloudformation")
    say(f"stack {target.stack_name}: creating")
    # No roll-back: it could not remove the protected tables anyway, and the next attempt would
    # find them in its way. Like this the next attempt goes on where this one stopped.
    stack_id = client.create_stack(
        StackName=target.stack_name,
        TemplateBody=template.body(path),
        Parameters=_parameters(target, path, None),
        DisableRollback=True,
        Capabilities=_CAPABILITIES,
        Tags=_tags(target, None),
        ClientRequestToken=uuid.uuid4().hex,
    )["StackId"]
    _wait(target, client, stack_id, {"CREATE_COMPLETE"}, "created")


def _needs_update(target: Target, stack: StackTypeDef, path: Path) -> bool:
    status = stack["StackStatus"]
    if status in _STOPPED_HALFWAY:
        return True
    if status not in _READY:
        raise DeployError(_not_ready(target, status))
    client: CloudFormationClient = target.client("cloudformation")
    deployed: Any = client.get_template(StackName=target.stack_name)["TemplateBody"]
    present = parameters(stack)
    wanted = {key: target.parameters.get(key, value) for key, value in present.items()}
    known = set(template.load(path)["Parameters"])
    if target.tags is not None and dict(target.tags) != tags(target, stack):
        return True
    return deployed != template.body(path) or wanted != present or bool(known - set(present))


def _update(target: Target, stack: StackTypeDef, path: Path, say: Say) -> None:
    client: CloudFormationClient = target.client("cloudformation")
    say(f"stack {target.stack_name}: updating")
    try:
        client.update_stack(
            StackName=target.stack_name,
            TemplateBody=template.body(path),
            Parameters=_parameters(target, path, stack),
            # A stack that stopped half-way must go on in the same mode.
            DisableRollback=stack["StackStatus"] in _STOPPED_HALFWAY,
            Capabilities=_CAPABILITIES,
            Tags=_tags(target, stack),
            ClientRequestToken=uuid.uuid4().hex,
        )
    except ClientError as error:
        if "No updates are to be performed" in error.response["Error"].get("Message", ""):
            return
        raise
    _wait(target, client, stack["StackId"], {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, "updated")


def _parameters(target: Target, path: Path, stack: StackTypeDef | None) -> list[ParameterTypeDef]:
    """Values that were asked for; everything else keeps its present value.

    A second clone that is not told of the custom domain must not take it away from the fleet.
    """
    known = template.load(path)["Parameters"]
    if unknown := set(target.parameters) - set(known):
        raise DeployError(f"the template has no parameter {', '.join(sorted(unknown))}")
    present = parameters(stack)
    values: list[ParameterTypeDef] = []
    for key in known:
        if key == "Stage":
            values.append({"ParameterKey": key, "ParameterValue": target.stage})
        elif key in target.parameters:
            values.append({"ParameterKey": key, "ParameterValue": target.parameters[key]})
        elif key in present:
            values.append({"ParameterKey": key, "UsePreviousValue": True})
    return values


def _tags(target: Target, stack: StackTypeDef | None) -> Any:  # noqa: ANN401
    kept = tags(target, stack) if target.tags is None else {}
    return [{"Key": key, "Value": value} for key, value in {**kept, **target.all_tags}.items()]


def _wait(
    target: Target, client: CloudFormationClient, stack_id: str, good: set[str], verb: str
) -> None:
    while True:
        stack = describe(target)
        status = stack["StackStatus"] if stack else "DELETE_COMPLETE"
        if status in good:
            return
        if not status.endswith("_IN_PROGRESS"):
            raise DeployError(_failure(client, stack_id, verb))
        time.sleep(_POLL_SECONDS)


def _not_ready(target: Target, status: str) -> str:
    name = target.stack_name
    if status.endswith("_IN_PROGRESS"):
        return f"stack {name} is in use ({status}); try again when that has ended"
    if status in {"ROLLBACK_COMPLETE", "DELETE_FAILED"}:
        return (
            f"stack {name} is in {status} and can only be deleted: "
            f"run `python -m infra destroy --stage {target.stage}`, then deploy again"
        )
    return f"stack {name} is in {status}; bring it out of that in CloudFormation first"


def _failure(client: CloudFormationClient, stack_id: str, verb: str) -> str:
    """The reasons of the resources that failed in the last operation, first failure first."""
    reasons: list[str] = []
    for page in client.get_paginator("describe_stack_events").paginate(StackName=stack_id):
        for event in page["StackEvents"]:
            status, reason = event.get("ResourceStatus", ""), event.get("ResourceStatusReason", "")
            own = event.get("ResourceType") == "AWS::CloudFormation::Stack"
            if own and status.endswith("_IN_PROGRESS") and "User Initiated" in reason:
                break
            if status.endswith("_FAILED") and "cancelled" not in reason:
                kind = event.get("ResourceType", "")
                reasons.append(f"{event.get('LogicalResourceId')} ({kind}): {reason}")
        else:
            continue
        break
    lines = [*reversed(reasons)] or ["CloudFormation gave no reason"]
    if hint := denied.advice("\n".join(reasons)):
        lines.append(hint)
    lines += [
        advice
        for (kind, word), advice in _WHAT_TO_DO.items()
        if any(kind in reason and word in reason.lower() for reason in reasons)
    ]
    return "\n  ".join([f"the stack could not be {verb}:", *lines])
