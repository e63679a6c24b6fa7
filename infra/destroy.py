"""`destroy`: take a stage down. What holds data or keys stays, unless it is purged."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from infra import chalice_state, gateway, leftovers, stack
from infra.application import chalice
from infra.console import Ask, Say, ask, say
from infra.deploy import ROOT
from infra.errors import DeployError
from infra.project import stage_project
from infra.target import Target


def destroy(
    target: Target, project_root: Path = ROOT, work_dir: Path | None = None, *, say: Say = say
) -> None:
    """Delete the application and the stack, without a question. Data and keys stay.

    Raises:
        DeployError: it cannot be done, with the reason.
    """
    present = stack.describe(target)
    if present is None:
        say(f"stack {target.stack_name}: there is none")
        return
    outputs = stack.outputs(present)
    if domain := outputs.get("ApiDomainName"):
        gateway.unmap_domain(target, domain)
    if outputs.get("BucketName"):
        _delete_application(target, project_root, work_dir or project_root / "build", outputs, say)
    stack.delete(target, say=say)
    say(f"stage {target.stage}: destroyed")


def _delete_application(
    target: Target, root: Path, work_dir: Path, outputs: Mapping[str, str], say: Say
) -> None:
    project = stage_project(target, root, work_dir, outputs)
    bucket = outputs["BucketName"]
    chalice_state.restore_for_deletion(target, project, bucket)
    chalice(target, project, "delete", say=say)
    chalice_state.delete_remote(target, bucket)
    project.state_file.unlink(missing_ok=True)


def explain(target: Target, *, purge: bool, say: Say) -> None:
    """Name what is removed and what is kept."""
    say(f"Stage {target.stage} in account {target.account}, {target.region}.")
    say("Removed: the REST API and with it the URL, the functions and their roles, the event bus,")
    say("  the dead-letter queue with what is in it, logs, alarms, the custom domain's mapping.")
    found = leftovers.find(target)
    say("Removed for good, asked for separately:" if purge else "Kept:")
    for item in found:
        say(f"  {leftovers.spell(item)}")
    if not purge:
        say("These cost little while idle. `destroy --purge` removes them for good; to deploy the")
        say("  stage on them again, import them into a stack (see docs/deploying.md).")


def confirmed(target: Target, *, purge: bool, ask: Ask) -> bool:
    """Whether the person typed the stage's name, and for a purge that too."""
    if ask(f"Type the stage's name to destroy it ({target.stage}): ") != target.stage:
        return False
    wanted = f"purge {target.stage}"
    return not purge or ask(f"All data is lost. Type {wanted!r} to go on: ") == wanted


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra destroy`."""
    parser.add_argument("--stage", required=True, help="name of the stage")
    parser.add_argument("--yes", action="store_true", help="do not ask (for scripts)")
    parser.add_argument(
        "--purge", action="store_true", help="remove tables, bucket, key and secret for good, too"
    )


def run(args: Namespace) -> int:
    """Destroy with the credentials of the environment."""
    try:
        target = Target(args.stage, os.environ)
        explain(target, purge=args.purge, say=say)
        if not args.yes and not confirmed(target, purge=args.purge, ask=ask):
            say("destroy: not confirmed, nothing was changed")
            return 1
        destroy(target)
        if args.purge:
            leftovers.purge(target, say=say)
    except DeployError as error:
        say(f"destroy: {error}")
        return 1
    return 0
