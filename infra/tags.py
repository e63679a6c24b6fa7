"""Tags that a deployer chooses, beside the stage's own ones."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError

# What IAM, Lambda, API Gateway and CloudFormation all take. A comma separates, so it is in none.
_KEY = re.compile(r"[\w .:/+@-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[\w .:/=+@-]{0,256}", re.ASCII)
_OWN = {"application", "stage"}
# IAM takes 50 of a role, and two are the stage's own.
MOST = 48


def parse(text: str) -> dict[str, str]:
    """Tags from `team=edge,cost-center=42`.

    Raises:
        ArgumentTypeError: they cannot be tags.
    """
    found: dict[str, str] = {}
    for item in text.split(",") if text else ():
        key, equals, value = item.partition("=")
        if not equals or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise ArgumentTypeError(f"{item!r}: write KEY=VALUE, with commas between")
        if key in _OWN or key.lower().startswith("aws:"):
            raise ArgumentTypeError(f"{key!r} is not for you to set")
        if key in found:
            raise ArgumentTypeError(f"{key!r} is there twice")
        found[key] = value
    if len(found) > MOST:
        raise ArgumentTypeError(f"{len(found)} tags are too many; {MOST} at most")
    return found
