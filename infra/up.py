"""`up`: the emulated cloud with the checkout deployed into it, until Ctrl-C."""

from __future__ import annotations

import json
import shlex
import signal
from argparse import ArgumentParser, Namespace

from infra.console import say
from infra.deploy import ROOT
from infra.errors import DeployError
from infra.local_stack import LocalStack, local_stack
from infra.private_file import write_private
from infra.work_folder import only_one

SUMMARY = ROOT / ".local" / "stack.json"
ACCOUNT = ROOT / ".local" / "aws.env"


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra up`."""
    parser.add_argument("--heartbeat-interval", type=int, default=60, metavar="SECONDS")


def run(args: Namespace) -> int:
    """Run until interrupted."""
    try:
        with only_one("up"):
            _forget()  # what an earlier one left that was killed: it leads to no server
            with local_stack(heartbeat_interval=args.heartbeat_interval) as stack:
                _serve(stack)
    except DeployError as error:
        say(f"up: {error}")
        return 1
    return 0


def _serve(stack: LocalStack) -> None:
    write_private(ACCOUNT, _shell(stack.cloud.environ))
    write_private(SUMMARY, json.dumps(stack.summary(), indent=2) + "\n")
    try:
        say("")
        say(f"API:  {stack.url}")
        say("Key:  in .local/stack.json, with the ids of organization, project and environment,")
        say("      and with username and password of the organization's admin")
        say("AWS:  .local/aws.env has the variables that lead the AWS tools to this account")
        say("Stop: Ctrl-C; nothing is left behind")
        signal.pause()
    except KeyboardInterrupt:
        say("stopping")
    finally:
        _forget()


def _forget() -> None:
    for file in (SUMMARY, ACCOUNT):
        file.unlink(missing_ok=True)


def _shell(environ: dict[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in environ.items())
