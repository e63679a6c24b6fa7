"""`demo`: the whole story, told line by line by a real agent on the emulated cloud."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace

from infra.console import say
from infra.errors import DeployError
from infra.local_stack import local_stack
from infra.story import STEPS, BrokenPromiseError, Story


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra demo`: none."""
    del parser


def run(args: Namespace) -> int:
    """Tell the story; 0 only if every promise in it held."""
    del args
    started = time.monotonic()
    say("Deploying Rollcall into an emulated AWS account; the details follow, indented.")
    try:
        with local_stack(heartbeat_interval=2, say=_indented) as stack, Story(stack) as story:
            for number, step in enumerate(STEPS, start=1):
                say(f"{number:2}. {step(story)}")
    except (DeployError, BrokenPromiseError) as error:
        say(f"demo: {error}")
        return 1
    say(f"All of it held, in {time.monotonic() - started:.0f} s. Nothing was left behind.")
    return 0


def _indented(line: str) -> None:
    say(f"    {line.strip()}")
