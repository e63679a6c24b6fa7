"""What happens to a batch of a table's stream that its function fails on again and again.

Chalice makes the mappings and knows none of these settings. Without them Lambda repeats a failing
batch until its records leave the stream after 24 hours, and then drops it without a word.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from infra.errors import DeployError
from infra.target import Target

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

    from infra.console import Say

HOUR = 3600
# How old a record may become before its batch is given up. publish_events fails while EventBridge
# is down, and its events should all go out afterwards: an hour short of what the stream keeps. A
# step of a job that fails holds up every tenant's jobs, and a job can be asked for again.
# A record that was never sealed looks like one that somebody inserted: seal_evidence is as patient.
OLDEST_SECONDS = {"publish_events": 23 * HOUR, "seal_evidence": 23 * HOUR, "run_jobs": 6 * HOUR}
_STREAMS = {
    "publish_events": "AuditRecordsStreamArn",
    "seal_evidence": "AuditRecordsStreamArn",
    "run_jobs": "JobsStreamArn",
}
# What starts a function; rows that TTL removes start none. The sealer looks at every change: one of
# evidence is tampering, unless it is TTL's.
EVENTS = {"publish_events": ("INSERT",), "run_jobs": ("INSERT", "MODIFY")}
# A job's step writes the row whose stream starts the next step. Lambda takes that for a loop, and
# may end it after about 16 rounds (today it looks at SQS, SNS and S3, and not at streams).
RECURSIVE = "run_jobs"
_ATTEMPTS = 13
_PAUSE_SECONDS = 5.0


_WORKING = {"Enabled", "Creating", "Enabling", "Updating"}
# What Lambda says of a mapping's last round; others begin with PROBLEM.
_PROBLEM = "PROBLEM"


def look(target: Target, outputs: Mapping[str, str], *, say: Say) -> None:
    """Warn of streams that reach no function: nothing else would say so, as long as all is idle.

    Args:
        target: the stage.
        outputs: the stack's.
        say: takes a line for each.
    """
    client: LambdaClient = target.client("lambda")
    for function, stream in _STREAMS.items():
        for mapping in _mappings(client, target, function, outputs[stream]):
            state, last = mapping.get("State"), mapping.get("LastProcessingResult") or ""
            if state not in _WORKING:
                reason = mapping.get("StateTransitionReason") or "no reason given"
                say(f"warning: the stream of {function} is {state} ({reason}): nothing reaches it")
            elif last.startswith(_PROBLEM):
                say(f"warning: the stream of {function} does not get through: {last}")


def _mappings(client: LambdaClient, target: Target, function: str, stream: str) -> list[Any]:
    found = client.list_event_source_mappings(EventSourceArn=stream)
    ending = f":function:{target.function_name(function)}"
    return [one for one in found["EventSourceMappings"] if one["FunctionArn"].endswith(ending)]


def keep_failed_batches(
    target: Target,
    outputs: Mapping[str, str],
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Bound how long a batch is repeated, halve it after each failure, and tell the queue of it.

    The queue gets the place in the stream and the times of the batch, not its records: what
    `republish` needs to know.

    Args:
        target: the stage.
        outputs: the stack's.
        sleep: waits between attempts.

    Raises:
        DeployError: a mapping is missing, or Lambda refuses.
    """
    client: LambdaClient = target.client("lambda")
    for function, oldest in OLDEST_SECONDS.items():
        wanted: dict[str, Any] = {
            "BisectBatchOnFunctionError": True,
            "MaximumRetryAttempts": -1,
            "MaximumRecordAgeInSeconds": oldest,
            "DestinationConfig": {"OnFailure": {"Destination": outputs["DeadLetterQueueArn"]}},
        }
        if events := EVENTS.get(function):
            pattern = json.dumps({"eventName": list(events)})
            wanted["FilterCriteria"] = {"Filters": [{"Pattern": pattern}]}
        name = target.function_name(function)
        mappings = _mappings(client, target, function, outputs[_STREAMS[function]])
        if not mappings:
            raise DeployError(f"{name} is not connected to its stream")
        for mapping in mappings:
            if any(mapping.get(key) != value for key, value in wanted.items()):
                _update(client, mapping["UUID"], name, wanted, sleep)


def _update(
    client: LambdaClient,
    mapping: str,
    name: str,
    wanted: dict[str, Any],
    sleep: Callable[[float], object],
) -> None:
    _until_accepted(
        client,
        lambda: client.update_event_source_mapping(UUID=mapping, **wanted),
        f"failed batches of {name} would be dropped",
        sleep,
    )


def let_jobs_drive_themselves(
    target: Target, *, sleep: Callable[[float], object] = time.sleep
) -> None:
    """Tell Lambda that run_jobs starts itself on purpose.

    Raises:
        DeployError: Lambda refuses.
    """
    client: LambdaClient = target.client("lambda")
    name = target.function_name(RECURSIVE)
    _until_accepted(
        client,
        lambda: client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow"),
        f"long jobs of {name} would be broken off",
        sleep,
    )


def _until_accepted(
    client: LambdaClient,
    call: Callable[[], object],
    otherwise: str,
    sleep: Callable[[float], object],
) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            call()
        except (
            client.exceptions.InvalidParameterValueException,  # the role's policy is not known yet
            client.exceptions.ResourceConflictException,
            client.exceptions.ResourceInUseException,  # Chalice has just made or changed it
        ) as error:
            if attempt + 1 == _ATTEMPTS:
                raise DeployError(f"{otherwise}: {error}") from error
            sleep(_PAUSE_SECONDS)
        else:
            return
