"""`audit`: an organization's evidence, fetched with its seals, and verified without AWS."""

from __future__ import annotations

import os
import re
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib import ids
from chalicelib.evidence.envelope import rfc3339
from infra.audit_chain import ExpectedHead
from infra.audit_files import Manifest, lines, manifest
from infra.audit_verifier import Asked, verify
from infra.console import say
from infra.errors import DeployError
from infra.moments import time_argument

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from infra.audit_findings import Report
    from infra.target import Target

_HEAD = re.compile(r"([1-9][0-9]{0,11}):([0-9a-f]{64})")
_SHOWN = 10
_TAMPERED = 1


def _organization(text: str) -> str:
    if not ids.is_a(ids.ORGANIZATION, text):
        raise ArgumentTypeError(f"{text!r} is no organization's identifier")
    return text


def _head(text: str) -> ExpectedHead:
    found = _HEAD.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no NUMBER:DIGEST, as `fetch` and `verify` print it")
    return ExpectedHead(int(found[1]), found[2])


def _seconds(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError("a whole number of seconds")
    return int(text)


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra audit`."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fetch = commands.add_parser("fetch", help="write records, batches and a manifest into a folder")
    fetch.add_argument("--stage", required=True, help="name of the stage, such as prod")
    fetch.add_argument("--organization", type=_organization, required=True, metavar="ORG")
    fetch.add_argument("--since", type=time_argument, required=True, metavar="TIME")
    fetch.add_argument("--until", type=time_argument, metavar="TIME", help="default: now")
    fetch.add_argument("--output", type=Path, required=True, metavar="DIR", help="new, or empty")
    key = commands.add_parser("key", help="write the public key that batches are verified with")
    key.add_argument("--stage", required=True, help="name of the stage, such as prod")
    key.add_argument("--output", type=Path, required=True, metavar="FILE")
    check = commands.add_parser("verify", help="verify an export; needs no AWS")
    check.add_argument("--export", type=Path, required=True, metavar="DIR")
    check.add_argument("--public-key", type=Path, required=True, metavar="FILE")
    check.add_argument("--organization", type=_organization, metavar="ORG")
    check.add_argument("--expect-head", type=_head, metavar="NUMBER:DIGEST")
    check.add_argument(
        "--since", type=time_argument, metavar="TIME", help="default: the manifest's"
    )
    check.add_argument(
        "--until", type=time_argument, metavar="TIME", help="default: the manifest's"
    )
    check.add_argument(
        "--grace",
        type=_seconds,
        default=900,
        metavar="SECONDS",
        help="how much older than the newest batch a record may be and not sealed yet; default 900",
    )
    check.add_argument(
        "--strict", action="store_true", help="fail also where something is not covered by a seal"
    )


def run(args: Namespace) -> int:
    """Do what was asked for."""
    return {"fetch": _fetch, "key": _key, "verify": _verify}[args.command](args)


def _stage(name: str) -> tuple[Any, dict[str, str]]:
    from infra import stack  # noqa: PLC0415 - verifying needs no AWS
    from infra.target import Target  # noqa: PLC0415

    target = Target(name, os.environ)
    found = stack.describe(target)
    if found is None:
        raise DeployError(f"stage {name} is not deployed")
    return target, stack.outputs(found)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _fetch(args: Namespace) -> int:
    from infra import audit_fetch  # noqa: PLC0415 - verifying needs no AWS

    now = _now()
    span = args.since, now if args.until is None else args.until
    if span[0] > span[1]:
        raise DeployError("--since is after --until")
    if args.output.exists() and any(args.output.iterdir()):
        raise DeployError(f"{args.output} is not empty")
    target, outputs = _stage(args.stage)
    clients = target.client("dynamodb"), target.client("s3")
    records, batches = audit_fetch.fetch(
        clients,
        outputs,
        args.organization,
        span,
        args.output,
        key=_elliptic(_der(target, outputs), outputs["SigningKeyArn"]),
        now=now,
    )
    say(f"{records} records and {batches} batches of {args.organization} in {args.output}")
    if head := manifest(args.output).head:
        say(f"the chain comes to {head.number}:{head.digest}")
    return 0


def _der(target: Target, outputs: dict[str, str]) -> PublicKeyTypes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    answer = target.client("kms").get_public_key(KeyId=outputs["SigningKeyArn"])
    return serialization.load_der_public_key(answer["PublicKey"])


def _key(args: Namespace) -> int:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    target, outputs = _stage(args.stage)
    key = _der(target, outputs)
    pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    args.output.write_bytes(pem)
    say(f"public key of {outputs['SigningKeyArn']} in {args.output}")
    return 0


def _public_key(file: Path) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    try:
        key = serialization.load_pem_public_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DeployError(f"{file} is no public key: {error}") from error
    return _elliptic(key, str(file))


def _elliptic(key: PublicKeyTypes, name: str) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise DeployError(f"{name} is a key of another kind")
    return key


def _verify(args: Namespace) -> int:
    said, now = manifest(args.export), _now()
    if args.organization and said.organization and args.organization != said.organization:
        raise DeployError(f"the export says that it is of {said.organization}")
    asked = Asked(
        key=_public_key(args.public_key),
        # A record that is missing now may have been there when the export was made.
        now=now if said.fetched_at is None else min(now, said.fetched_at),
        since=said.since,
        until=said.until,
        organization=args.organization or said.organization,
        exported=(said.since, said.until),
        head=args.expect_head or said.head,
        grace=args.grace * 1000,
        partial=said.partial,
        disturbed=said.disturbed,
    )
    if args.since is not None:
        asked = replace(asked, since=args.since)
    if args.until is not None:
        asked = replace(asked, until=args.until)
    report = verify(list(lines(args.export, "batches")), lines(args.export, "records"), asked)
    if report.findings:
        _told(report)
        return _TAMPERED
    _confirmed(report, asked)
    doubts = [*_uncovered(report, asked), *_taken_on_trust(args, said)]
    for line in doubts:
        say(line)
    if args.strict and doubts:
        say(f"--strict: {len(doubts)} things are not covered by a seal")
        return _TAMPERED
    return 0


def _told(report: Report) -> None:
    for finding in report.findings[:_SHOWN]:
        say(str(finding))
    if len(report.findings) > _SHOWN:
        say(f"and {len(report.findings) - _SHOWN} more")
    say(f"NOT as it was sealed: {len(report.findings)} findings, the first of them first")


def _confirmed(report: Report, asked: Asked) -> None:
    numbers = "no batch" if report.batches is None else "batches {}..{}".format(*report.batches)
    times = "" if report.span is None else ", from {} to {}".format(*report.span)
    say(f"OK: {report.verified} records of {report.organization} in {numbers}{times}")
    if asked.since is not None or asked.until is not None:
        low, high = asked.since, asked.until
        say(
            f"asked for: {'the beginning' if low is None else rfc3339(low)} to "
            f"{'the end' if high is None else rfc3339(high)}"
        )


def _uncovered(report: Report, asked: Asked) -> list[str]:
    """What the export has or may lack, and no seal tells of."""
    lines = []
    if asked.partial:
        lines.append("an export of one resource: whether records are missing cannot be told")
    if report.waiting:
        lines.append(
            f"{report.waiting} records are not sealed yet (newer than the last batch, or nearly)"
        )
    if report.older:
        lines.append(f"{report.older} records are older than batch 1")
    if report.retired:
        lines.append(
            f"{report.retired} records are gone, or their batch is, and their time was over"
        )
    if report.first_unknown is not None:
        lines.append(
            f"what batch {report.first_unknown} and those before it sealed would not be missed"
        )
    if asked.head is None:
        lines.append(
            "batches after the last would not be missed: nothing says where the chain ends"
        )
    return [f"not covered by a seal: {line}" for line in lines]


def _taken_on_trust(args: Namespace, said: Manifest) -> list[str]:
    """What only the export says of itself, in a manifest that is not signed."""
    claims = {
        "--organization": (args.organization, "whose records they are"),
        "--since": (args.since, "where the range begins"),
        "--until": (args.until, "where it ends"),
    }
    if said.head is not None:
        claims["--expect-head"] = (args.expect_head, "where the chain ends")
    open_ones = {option: what for option, (given, what) in claims.items() if given is None}
    if not open_ones:
        return []
    what, given = ", ".join(open_ones.values()), ", ".join(open_ones)
    line = f"{what}: the export alone says so; give {given} to have it checked"
    return [f"not covered by a seal: {line}"]
