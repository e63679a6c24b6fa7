"""`bootstrap`: the first organization of a stage, with its first org_admin.

It works with the deployer's own AWS credentials.

There is no route for this: whoever may write the stage's tables may make an organization.
"""

from __future__ import annotations

import json
import os
import secrets
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from infra import inventory, stack
from infra.chalice_state import remote_api
from infra.console import say
from infra.deploy import ROOT
from infra.errors import DeployError
from infra.private_file import write_private
from infra.project import environment, public_url, tracked_config
from infra.stage_names import refuse_colliding
from infra.target import Target

if TYPE_CHECKING:
    from chalicelib.errors import DomainError

_PASSWORD_BYTES = 24


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra bootstrap`."""
    parser.add_argument("--stage", required=True, help="name of the stage, such as prod")
    parser.add_argument("--organization", default="main", help="name of the organization")
    parser.add_argument("--project", default="main", help="name of its first project")
    parser.add_argument("--environment", default="main", help="name of its first environment")
    parser.add_argument(
        "--heartbeat-interval", type=_interval, default=60, metavar="SECONDS", help="1 to 3600"
    )
    parser.add_argument("--public-url", help="base URL, where it is not the one of API Gateway")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="where the identifiers, the operator key and the admin's login go (mode 0600); "
        "they are shown nowhere",
    )
    parser.add_argument(
        "--admin", default="admin", metavar="NAME", help="username of the first org_admin"
    )
    parser.add_argument(
        "--admin-password-file",
        type=Path,
        metavar="FILE",
        help="holds the admin's password (12 to 256 characters); otherwise one is made",
    )


def _interval(text: str) -> int:
    seconds = int(text)
    if not 1 <= seconds <= 3600:  # noqa: PLR2004 - as the help says
        raise ValueError(text)
    return seconds


def run(args: Namespace) -> int:
    """Make an organization and write its key and its admin's login to a file."""
    target = Target(args.stage, os.environ, public_url=args.public_url)
    try:
        made = bootstrap(target, args)
    except DeployError as error:
        say(f"bootstrap: {error}")
        return 1
    write_private(args.output, json.dumps(made, indent=2) + "\n")
    say(
        f"organization {made['organization']}: its operator key, and the login of"
        f" {made['admin_username']}, are in {args.output}"
    )
    return 0


def bootstrap(target: Target, args: Namespace) -> dict[str, str]:
    """Create organization, project, environment, operator key and first org_admin.

    Raises:
        DeployError: the stage cannot be one, is not deployed, its database does not answer, or
            the admin's name is taken.
    """
    refuse_colliding(target.stage, tracked_config(ROOT)["lambda_functions"])
    password = _password(args.admin_password_file)
    found = stack.describe(target)
    if found is None:
        raise DeployError(f"stage {target.stage} is not deployed; deploy it first")
    outputs = stack.outputs(found)
    # The store reads its settings as it does in a function: from the environment.
    os.environ.update(environment(target, outputs))
    os.environ.update(target.child_environ())
    from chalicelib.errors import Conflict, DomainError  # noqa: PLC0415
    from chalicelib.flows import bootstrap as flow  # noqa: PLC0415
    from chalicelib.runtime import wall_clock  # noqa: PLC0415

    try:
        made = flow.bootstrap(
            organization_name=args.organization,
            project_name=args.project,
            environment_name=args.environment,
            heartbeat_interval=args.heartbeat_interval,
            actor=target.client("sts").get_caller_identity()["Arn"],
            now=wall_clock(),
            admin=flow.FirstAdmin(args.admin, password),
        )
    except Conflict as error:
        raise DeployError(
            f"somebody has the username {args.admin} already; choose another with --admin"
        ) from error
    except DomainError as error:
        raise DeployError(_why(error)) from error
    url = public_url(target, outputs) or inventory.api_url(
        target, remote_api(target, outputs["BucketName"])
    )
    return {
        "url": url,
        "organization": made.organization,
        "project": made.project,
        "environment": made.environment,
        "operator_key": made.operator_key,
        "admin_username": args.admin.lower(),
        "admin_password": password,
    }


def _password(file: Path | None) -> str:
    """What the file holds but for the end of its last line, or a fresh password."""
    if file is None:
        return secrets.token_urlsafe(_PASSWORD_BYTES)
    try:
        return file.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError(f"{file} cannot be read: {type(error).__name__}") from error


def _why(error: DomainError) -> str:
    reasons = [f"{one['path']}: {one['message']}" for one in error.extra.get("errors", [])]
    if error.cause is not None:
        reasons.append(error.cause)
    return f"{error.detail} ({'; '.join(reasons)})" if reasons else error.detail
