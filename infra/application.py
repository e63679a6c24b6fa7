"""Chalice, run on the staged project of one stage."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from infra import chalice_state, denied, inventory
from infra.children import run_child
from infra.console import Say
from infra.errors import DeployError
from infra.project import Project
from infra.target import Target

# `python -m chalice` does not exist; this is what its console script does.
CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"

# IAM tells the other services of a new role or permission within some seconds. Chalice 1.34 waits
# for that when it creates functions (messages about the role that "cannot be assumed" or "does not
# have permissions"), and nowhere else.
RETRIES = 3
PAUSE_SECONDS = 15.0


@dataclass(frozen=True)
class Passing:
    """A refusal of AWS that ends by itself.

    Args:
        pattern: finds it in Chalice's output.
        reason: in words, for a person.
    """

    pattern: str
    reason: str


PASSING = (
    Passing(
        r"Cannot access stream .{1,400}? Please ensure the role can perform",
        "Lambda does not know yet that the role may read the stream",
    ),
    Passing(
        r"Unable to validate the following destination configurations",
        "S3 does not know yet that it may call the function",
    ),
    Passing(
        r"\(NoSuchEntity\) when calling the (Put|Get)Role\w* operation",
        "IAM does not find the new role everywhere yet",
    ),
    Passing(
        r"\(ResourceConflictException\) when calling the \w+ operation: The operation cannot be "
        r"performed at this time",
        "Lambda still works on the function",
    ),
    Passing(
        r"\(OperationAborted\) when calling the PutBucketNotificationConfiguration operation",
        "S3 still works on the bucket",
    ),
    Passing(
        r"\(ConcurrentModificationException\) when calling the Put(Rule|Targets) operation",
        "EventBridge still works on the rule",
    ),
    Passing(
        r"\((TooManyRequestsException|Throttling|ThrottlingException)\) when calling the",
        "AWS takes no more requests of the account at the moment",
    ),
)


def passing_refusal(output: str) -> Passing | None:
    """The refusal in Chalice's output that ends by itself, if there is one.

    Chalice wraps an error's text at 79 characters, also behind the hyphens of an ARN.
    """
    text = " ".join(output.split())
    return next((one for one in PASSING if re.search(one.pattern, text)), None)


def chalice(target: Target, project: Project, command: str, *, say: Say) -> None:
    """Run one of Chalice's commands on the staged project.

    Raises:
        DeployError: it failed.
    """
    run_child(
        [sys.executable, "-c", CHALICE, command, "--stage", target.stage],
        cwd=project.path,
        environ=target.child_environ(),
        say=say,
        what=f"`chalice {command}`",
    )


def deploy_application(
    target: Target,
    project: Project,
    bucket: str,
    *,
    say: Say,
    sleep: Callable[[float], object],
    run: Callable[..., None] = chalice,
) -> None:
    """Run `chalice deploy`, again after a refusal that ends by itself, and keep its state.

    What a failed run has made is recorded before the next one, which therefore makes nothing a
    second time.

    Args:
        target: the stage.
        project: the staged project.
        bucket: keeps the state.
        say: takes Chalice's lines.
        sleep: waits between runs.
        run: runs one of Chalice's commands.

    Raises:
        DeployError: it failed for another reason, or too often.
    """
    before = inventory.live_apis(target)
    for attempt in range(1 + RETRIES):
        lines: list[str] = []
        try:
            run(target, project, "deploy", say=_also(say, lines))
            break
        except BaseException as error:
            # Also on Ctrl-C: what exists by now must be known to the next attempt.
            chalice_state.complete(target, project, bucket, before, say=say)
            refusal = passing_refusal("\n".join(lines)) if isinstance(error, DeployError) else None
            if isinstance(error, DeployError) and (hint := denied.advice("\n".join(lines))):
                raise DeployError(f"{error}\n{hint}") from error
            if refusal is None or attempt == RETRIES:
                raise
        say(f"{refusal.reason}: again in {PAUSE_SECONDS:.0f} seconds")
        sleep(PAUSE_SECONDS)
    chalice_state.keep(target, project, bucket)


def _also(say: Say, lines: list[str]) -> Say:
    def both(line: str) -> None:
        lines.append(line)
        say(line)

    return both
