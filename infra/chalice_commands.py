"""`chalice …`, typed in the checkout: done where that is possible, else told what to type.

Chalice loads `app.py` before it does anything to a stage, and `app.py` asks here. A stage is more
than what Chalice deploys (its stack, its policies, the deploy state that keeps its URL), so Chalice
alone would make half of one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from chalicelib import settings
from infra.console import say

ROOT = Path(__file__).resolve().parents[1]
EMULATED = "emulated"
"""The stage that `make local` names to Chalice: its settings come by the environment."""
_TRACKED = ROOT / ".chalice" / "config.json"
_EXAMPLE = "local"
_EXAMPLE_REGION = "us-east-1"
"""The region in the settings of the tracked stages."""
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_OWN_ONLY = ("api_gateway_stage", "autogen_policy", "connection_timeout")


@dataclass(frozen=True)
class Typed:
    """A command of Chalice, such as `deploy` or `dev plan`, and its options."""

    command: str
    options: Mapping[str, Any]

    @property
    def stage(self) -> str:
        """The stage that it is for."""
        return str(self.options["stage"])


def answer(argv: Sequence[str]) -> None:
    """Return where Chalice can go on by itself; take its place or end it where it cannot.

    Args:
        argv: what was typed after `chalice`.
    """
    typed = parsed(argv)
    if typed.command == "deploy":
        _deploy(typed)
    elif typed.command == "delete":
        _refuse(f"a stage is taken down with: make destroy STAGE={typed.stage}")
    elif typed.command == "local":
        _local(typed)
    elif typed.command == "generate-models":
        _with_example()  # routes are the same in every stage
    else:
        _look(typed)


def parsed(argv: Sequence[str]) -> Typed:
    """Read a command line as Chalice reads it."""
    from chalice.cli import cli  # noqa: PLC0415 - it is what runs, so it is loaded by now

    names: list[str] = []
    command: click.Command = cli
    rest = list(argv)
    context: click.Context | None = None
    while True:
        context = command.make_context(names[-1] if names else "chalice", rest, parent=context)
        if not isinstance(command, click.Group):
            return Typed(" ".join(names), context.params)
        name, found, rest = command.resolve_command(context, _left(context))
        if name is None or found is None:
            return Typed(" ".join(names), context.params)
        names.append(name)
        command = found


def _left(context: click.Context) -> list[str]:
    # Groups keep their command apart from its arguments; click 8.2 made that an inner matter.
    return [*getattr(context, "_protected_args", ()), *context.args]


def _deploy(typed: Typed) -> None:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    from infra import stack  # noqa: PLC0415
    from infra.errors import DeployError  # noqa: PLC0415
    from infra.target import Target  # noqa: PLC0415

    for option in _OWN_ONLY:
        if typed.options.get(option) is not None:
            _refuse(f"leave out --{option.replace('_', '-')}: make deploy sets it")
    environ = _environ(typed.options.get("profile"))
    try:
        standing = stack.describe(Target(typed.stage, environ))
    except (DeployError, BotoCoreError, ClientError) as error:
        _refuse(f"whether stage {typed.stage} exists cannot be told: {error}")
    if standing is None:
        _refuse(f"there is no stage {typed.stage}; create it with: make deploy STAGE={typed.stage}")
    _become(["deploy", "--stage", typed.stage], environ)


def _environ(profile: str | None) -> dict[str, str]:
    environ = dict(os.environ)
    if profile is not None:
        # As for Chalice: a profile that is named wins over keys of the environment.
        for name in _KEYS:
            environ.pop(name, None)
        environ["AWS_PROFILE"] = profile
    return environ


def _local(typed: Typed) -> None:
    if typed.stage == EMULATED:
        return
    if typed.stage not in _tracked():
        names = " or ".join(_tracked())
        _refuse(f"a local server is no deployed stage; leave out --stage, or say {names}")
    environ = dict(os.environ)
    # Of Chalice's reloader: `make local` has one of its own.
    starter = str(os.getppid()) if environ.pop("CHALICE_WORKER", None) else "0"
    host, port = typed.options["host"], str(typed.options["port"])
    _become(["local", "--host", host, "--port", port, "--until-end-of", starter], environ)


def _look(typed: Typed) -> None:
    """Let a command that only looks go on with the settings of a tracked stage."""
    if typed.stage in _tracked():
        _choose_region(typed)
        if typed.command == "dev plan" and not _has_credentials(typed.options.get("profile")):
            _refuse("a plan compares with an account, and there are no credentials of one")
        if typed.command == "package" and typed.options["pkg_format"] == "cloudformation":
            _without_upload_events()
        click.echo(
            f"Stage {typed.stage} of .chalice/config.json is an example, to look at: "
            "a stage is deployed with `make deploy STAGE=…`.",
            err=True,
        )
        return
    build = f"build/{typed.stage}/project"
    _refuse(
        f"stage {typed.stage} has no settings here; say --stage {_EXAMPLE}, or, after "
        f"`make deploy STAGE={typed.stage}`: .venv/bin/chalice --project-dir {build} "
        f"{typed.command} --stage {typed.stage} …"
    )


def _choose_region(typed: Typed) -> None:
    """Give Chalice a region under the one name that it reads.

    It asks for one after it has built the deployment package, and knows `AWS_DEFAULT_REGION` alone.
    A template is the same in all regions of a partition, so that an example will do; a plan
    compares with what stands in a region, and gets none that was not asked for.
    """
    configured = _configured_region(typed.options.get("profile"))
    region = os.environ.get("AWS_REGION") or configured
    if not region and typed.command == "dev plan":
        _refuse("a plan compares with an account, and there is no region: set AWS_REGION")
    os.environ["AWS_DEFAULT_REGION"] = region or _EXAMPLE_REGION


def _configured_region(profile: str | None) -> str | None:
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    session = Session(profile=profile)
    try:
        session.get_scoped_config()  # a profile that does not exist is an error with a region, too
        region: str | None = session.get_config_variable("region")
    except BotoCoreError as error:
        _refuse(str(error))
    return region


def _without_upload_events() -> None:
    """Let `verify_upload` be packaged as a function that nothing starts.

    Chalice refuses to package an app otherwise: CloudFormation cannot change the notifications of
    a bucket that exists.
    """
    from chalice import Chalice  # noqa: PLC0415

    def on_s3_event(app: Any, *_: Any, name: str | None = None, **__: Any) -> Any:  # noqa: ANN401
        return app.lambda_function(name=name)

    Chalice.on_s3_event = on_s3_event
    click.echo(
        "Left out: the bucket notification that starts verify_upload; "
        "CloudFormation cannot express it.",
        err=True,
    )


def _has_credentials(profile: str | None) -> bool:
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    try:
        return Session(profile=profile).get_credentials() is not None
    except BotoCoreError:
        return False


def _tracked() -> dict[str, Any]:
    stages: dict[str, Any] = json.loads(_TRACKED.read_text("utf-8"))["stages"]
    return stages


def _with_example() -> None:
    for name, value in _tracked()[_EXAMPLE]["environment_variables"].items():
        os.environ.setdefault(name, value)
    settings.load.cache_clear()


def _become(argv: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Go on as `python -m infra …`: signals and the exit code are its own then."""
    say(f"chalice: this is `python -m infra {' '.join(argv)}` here")
    # What Chalice has put there by now: its mark, and the settings of a tracked stage.
    of_examples = {name for stage in _tracked().values() for name in stage["environment_variables"]}
    added = {"AWS_CHALICE_CLI_MODE", *of_examples}
    inherited = {name: value for name, value in environ.items() if name not in added}
    os.chdir(ROOT)
    os.execve(sys.executable, [sys.executable, "-m", "infra", *argv], inherited)  # noqa: S606 - ours


def _refuse(line: str) -> NoReturn:
    """End with one line."""
    if threading.current_thread() is threading.main_thread():
        raise click.ClickException(line)
    # The thread of `chalice local` that serves: its process would go on watching files.
    click.echo(f"Error: {line}", err=True)
    os._exit(1)
