"""`local`: `chalice local` on moto, for quick edits of a view.

The stack is the template's, in moto; the application runs from the checkout and reloads as you
edit. Functions that events start do not run here: `make up` has them.
"""

from __future__ import annotations

import json
import socket
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from infra import stack
from infra.children import run_child
from infra.console import say
from infra.deploy import ROOT
from infra.emulator.cloud import EmulatedCloud
from infra.errors import DeployError
from infra.local_stack import bootstrap_child, emulated_target
from infra.private_file import write_private
from infra.project import environment
from infra.release_key import with_fingerprint
from infra.work_folder import work_folder

STAGE = "local"
SUMMARY = ROOT / ".local" / "local.json"


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra local`."""
    parser.add_argument("--port", type=int, default=0, help="0, the default: any free one")


def run(args: Namespace) -> int:
    """Run until interrupted."""
    try:
        with work_folder() as work, EmulatedCloud(work / "cloud") as cloud:
            port = args.port or _free_port()
            url = f"http://127.0.0.1:{port}"
            target = emulated_target(cloud, {}, STAGE, url)
            outputs = with_fingerprint(target, stack.apply(target, say=say))
            settings = environment(target, outputs)
            made = bootstrap_child(target, work / "bootstrap.json", 60, say)
            write_private(SUMMARY, json.dumps(made, indent=2) + "\n")
            say(f"API: {url}   key, admin: in .local/local.json   stop: Ctrl-C")
            run_child(
                [
                    # Its reloader starts its own command line again, so it must be a program.
                    *(str(Path(sys.executable).with_name("chalice")), "local"),
                    *("--stage", STAGE, "--host", "127.0.0.1", "--port", str(port)),
                ],
                cwd=ROOT,
                environ={**target.child_environ(), **settings},
                say=say,
                what="`chalice local`",
            )
    except DeployError as error:
        say(f"local: {error}")
        return 1
    finally:
        SUMMARY.unlink(missing_ok=True)
    return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
