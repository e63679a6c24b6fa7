"""`republish`: publishes audit records again, such as after an outage that outlasted the stream.

The stream keeps what could not be delivered for 24 hours; the audit trail keeps it for 400 days.
What is published here is what the stream would have published, under the same identifiers.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib import ids
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.publisher import Publisher
from chalicelib.runtime import wall_clock
from chalicelib.store.audit_records import kept
from infra import stack
from infra.console import say
from infra.errors import DeployError
from infra.moments import time_argument
from infra.republication import Position, Republication, Wanted, count_only
from infra.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.republication import Send

_WRONG_USAGE = 2
_POISON = 3


def _organization(text: str) -> str:
    if not ids.is_a(ids.ORGANIZATION, text):
        raise ArgumentTypeError(f"{text!r} is no organization's identifier")
    return text


def _position(text: str) -> Position:
    try:
        return Position.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not what an earlier run printed") from error


def _rate(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("a whole number, at least 1")
    return int(text)


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra republish`."""
    parser.add_argument("--stage", required=True, help="name of the stage, such as prod")
    parser.add_argument(
        "--since",
        type=time_argument,
        required=True,
        metavar="TIME",
        help="when the outage began: RFC 3339, or how long ago (26h, 90m, 2d)",
    )
    parser.add_argument(
        "--until", type=time_argument, metavar="TIME", help="when it ended, inclusive; default now"
    )
    parser.add_argument(
        "--organization",
        type=_organization,
        nargs="+",
        action="extend",
        default=[],
        metavar="ORG",
        help="only these; default all",
    )
    parser.add_argument(
        "--rate", type=_rate, default=100, metavar="N", help="events a second at most; default 100"
    )
    parser.add_argument(
        "--after", type=_position, metavar="PLACE", help="go on where an earlier run stopped"
    )
    parser.add_argument("--dry-run", action="store_true", help="count, and publish nothing")


def run(args: Namespace, *, sleep: Callable[[float], object] = time.sleep) -> int:
    """Publish the audit records of a time range again.

    Args:
        args: what was asked for.
        sleep: waits for a number of seconds.

    Returns:
        0 where all were published, 2 where the arguments contradict each other, 3 where some
        cannot be published (the dead-letter queue has them).
    """
    now = wall_clock()
    wanted = Wanted(
        since=args.since,
        until=now if args.until is None else args.until,
        organizations=tuple(dict.fromkeys(args.organization)),
        after=args.after,
    )
    if wrong := _contradiction(wanted, now):
        say(f"republish: {wrong}")
        return _WRONG_USAGE
    target = Target(args.stage, os.environ)
    outputs = _outputs(target)
    if wrong := _gone(wanted, now, outputs):
        say(f"republish: {wrong}")
        return _WRONG_USAGE
    work = Republication(
        target.client("dynamodb"),
        outputs["TablePrefix"],
        wanted,
        count_only if args.dry_run else _send(target, outputs),
        rate=args.rate,
        monotonic=time.monotonic,
        sleep=sleep,
        say=say,
    )
    try:
        work.run()
    except BaseException:  # Also on Ctrl-C: what was done need not be done again.
        say(f"to go on: {_again(args, wanted, work.position)}")
        raise
    return _told(work, dry=args.dry_run)


def _contradiction(wanted: Wanted, now: int) -> str | None:
    if wanted.since > now:
        return f"--since {rfc3339(wanted.since)} is in the future"
    if wanted.since > wanted.until:
        return f"--since {rfc3339(wanted.since)} is after --until {rfc3339(wanted.until)}"
    asked, after = wanted.organizations, wanted.after
    if asked and after and after.organization not in asked:
        return f"--after is a place of {after.organization}, which is not asked for"
    return None


def _gone(wanted: Wanted, now: int, outputs: Mapping[str, str]) -> str | None:
    lived = kept(int(outputs["EvidenceRetentionDays"]))
    if wanted.since < now - lived // timedelta(milliseconds=1):
        return f"--since is too long ago: audit records are kept for {lived.days} days"
    return None


def _outputs(target: Target) -> Mapping[str, str]:
    found = stack.describe(target)
    if found is None:
        raise DeployError(f"stage {target.stage} is not deployed")
    return stack.outputs(found)


def _send(target: Target, outputs: Mapping[str, str]) -> Send:
    return Publisher(
        target.client("events"),
        outputs["EventBusName"],
        target.client("sqs"),
        outputs["DeadLetterQueueUrl"],
    ).publish


def _again(args: Namespace, wanted: Wanted, position: Position | None) -> str:
    """The command that goes on; a relative time would mean another one by then."""
    words = [sys.executable, "-m", "infra", "republish", "--stage", args.stage]
    words += ["--since", rfc3339(wanted.since), "--until", rfc3339(wanted.until)]
    if wanted.organizations:
        words += ["--organization", *wanted.organizations]
    words += ["--rate", str(args.rate)]
    if position is not None:
        words += ["--after", str(position)]
    return shlex.join([*words, "--dry-run"] if args.dry_run else words)


def _told(work: Republication, *, dry: bool) -> int:
    if not work.looked_at:
        say("there is no organization: is this the right stage, account and endpoint?")
    verb = "would be published" if dry else "published"
    say(f"{work.events} events of {work.organizations} organizations {verb}")
    if not work.poison:
        return 0
    place = "" if dry else "; the dead-letter queue has them, with the reasons"
    say(f"{work.poison} records cannot be published{place}")
    return _POISON
