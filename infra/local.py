"""`local`: `chalice local` on moto, for quick edits of a view.

The stack is the template's, in moto; the application runs from the checkout and reloads as you
edit (`infra/reloading.py`). Functions that events start do not run here: `make up` has them.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace

from infra import stack
from infra.application import CHALICE
from infra.chalice_commands import EMULATED
from infra.console import say
from infra.deploy import ROOT
from infra.emulator.cloud import EmulatedCloud
from infra.errors import DeployError
from infra.local_stack import bootstrap_child, emulated_target
from infra.private_file import write_private
from infra.project import environment
from infra.release_key import with_fingerprint
from infra.reloading import Server, serve
from infra.work_folder import only_one, work_folder

STAGE = "local"
# `chalice local` shows what is logged at INFO, such as that pynamodb found no file of settings.
_QUIET = "import logging; logging.getLogger('pynamodb.settings').setLevel('WARNING'); "
SUMMARY = ROOT / ".local" / "local.json"


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra local`."""
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default: any free one")
    # For `chalice local`, whose process is the parent and does not pass its end on.
    parser.add_argument("--until-end-of", type=int, default=0, help=SUPPRESS)


def run(args: Namespace) -> int:
    """Run until interrupted."""
    try:
        with only_one("local"):
            SUMMARY.unlink(missing_ok=True)  # of an earlier one that was killed
            try:
                _serve(args.host, args.port, args.until_end_of)
            finally:
                SUMMARY.unlink(missing_ok=True)
    except DeployError as error:
        say(f"local: {error}")
        return 1
    return 0


def _serve(host: str, wanted_port: int, starter: int) -> None:
    with work_folder() as work, EmulatedCloud(work / "cloud") as cloud:
        port = _port(host, wanted_port)
        url = f"http://{host}:{port}"
        target = emulated_target(cloud, {}, STAGE, url)
        outputs = with_fingerprint(target, stack.apply(target, say=say))
        settings = environment(target, outputs)
        made = bootstrap_child(target, work / "bootstrap.json", 60, say)
        write_private(SUMMARY, json.dumps(made, indent=2) + "\n")
        say("Key, admin: in .local/local.json   Stop: Ctrl-C")
        serve(
            Server(
                argv=_chalice_local(host, port),
                environ={**target.child_environ(), **settings},
                listening="Serving on ",
                url=url,
            ),
            ROOT,
            say=say,
            go_on=lambda: starter in {0, os.getppid()},
        )


def _chalice_local(host: str, port: int) -> list[str]:
    return [
        *(
            sys.executable,
            "-c",
            _QUIET + CHALICE,
            "--project-dir",
            str(ROOT),
            "local",
            "--no-autoreload",
        ),
        *("--stage", EMULATED, "--host", host, "--port", str(port)),
    ]


def _port(host: str, wanted: int) -> int:
    """A free port, or the one that is wanted.

    Raises:
        DeployError: nothing can listen there.
    """
    with socket.socket() as probe:
        # As the server will: a port that was in use a minute ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except (OSError, OverflowError) as error:
            raise DeployError(f"nothing can listen on {host}:{wanted}: {error}") from error
        return int(probe.getsockname()[1])
