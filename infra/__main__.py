"""`python -m infra COMMAND …`: everything that is done to a stage from outside."""

import importlib
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from types import FrameType

from infra.console import say
from infra.errors import DeployError

COMMANDS = {
    "deploy": "create a stage, or bring it up to date",
    "deployer-policy": "write the IAM policies that deploying a stage needs",
    "destroy": "take a stage down",
    "bootstrap": "make organization, project, environment and the first operator key",
    "publish-agent": "upload binaries of the agent with a signed manifest, and put it in force",
    "audit": "fetch audit records with the batches that seal them, and verify such an export",
    "republish": "publish audit records of a time range again, such as after a long outage",
    "up": "start the emulated cloud and deploy into it",
    "demo": "the whole story, against the emulated cloud",
    "local": "`chalice local` on moto, for quick edits",
}
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_KILLED_BY = 128


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: python -m infra COMMAND [--help]", "", *lines])


def _on_stop(number: int, _frame: FrameType | None) -> None:
    # Once: a second Ctrl-C must not break off the end of children, servers and folders.
    for each in _STOPPING:
        signal.signal(each, signal.SIG_IGN)
    # As an exception, so that all of these are ended on the way out.
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(_KILLED_BY + number)


def main(argv: Sequence[str]) -> int:
    """Run one command; only its own module is imported."""
    if not argv or argv[0] in {"-h", "--help"}:
        say(_usage())
        return 0 if argv else 2
    name = argv[0]
    if name not in COMMANDS:
        say(f"{name}: no such command\n{_usage()}")
        return 2
    module = importlib.import_module(f"infra.{name.replace('-', '_')}")
    parser = ArgumentParser(prog=f"python -m infra {name}", description=COMMANDS[name])
    module.add_arguments(parser)
    try:
        code: int = module.run(parser.parse_args(argv[1:]))
    except KeyboardInterrupt:
        say("interrupted")
        return _KILLED_BY + signal.SIGINT
    except Exception as error:
        if not _explains_itself(error):
            raise
        say(f"{name}: {error}")
        if hint := _missing_right(error):
            say(f"{name}: {hint}")
        return 1
    return code


def _explains_itself(error: Exception) -> bool:
    """Whether it is no defect, such as: no region, no credentials, a permission that is missing.

    What needs no AWS, such as verifying an export, is spared the import.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    return isinstance(error, DeployError | BotoCoreError | ClientError)


def _missing_right(error: Exception) -> str:
    from botocore.exceptions import ClientError  # noqa: PLC0415

    from infra import denied  # noqa: PLC0415

    return denied.explain(error) if isinstance(error, ClientError) else ""


def _listen() -> None:
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` wants it
            signal.signal(number, _on_stop)


if __name__ == "__main__":
    _listen()
    sys.exit(main(sys.argv[1:]))
