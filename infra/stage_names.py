"""Names that a stage may not have, because another stage derives the same names from its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from infra import template
from infra.errors import DeployError
from infra.target import APP_NAME, STAGE_PATTERN

if TYPE_CHECKING:
    from pathlib import Path

STAGE = "${Stage}"


class Derived(NamedTuple):
    """A name that a stage gives to one of its resources.

    Args:
        kind: CloudFormation's type; names of one kind must differ.
        before: the fixed text before the stage.
        after: the fixed text after it, with CloudFormation's references.
    """

    kind: str
    before: str
    after: str


def derived(functions: Iterable[str], path: Path = template.TEMPLATE) -> list[Derived]:
    """Every name that is made from the stage: the template's, and those that Chalice makes.

    Args:
        functions: Chalice's names of the functions.
        path: the template.
    """
    found = [
        _split(resource["Type"], value["Fn::Sub"])
        for resource in template.load(path)["Resources"].values()
        for key, value in resource["Properties"].items()
        if key.endswith("Name") and isinstance(value, dict) and STAGE in value.get("Fn::Sub", "")
    ]
    own = f"{APP_NAME}-{STAGE}"
    found += [_split(f"AWS::{kind}", own) for kind in ("CloudFormation::Stack", "Lambda::Function")]
    for function in functions:
        found += [
            _split("AWS::Lambda::Function", f"{own}-{function}"),
            _split("AWS::IAM::Role", f"{own}-{function}"),
            _split("AWS::Events::Rule", f"{own}-{function}-event"),
        ]
    return found


def refuse_colliding(stage: str, functions: Iterable[str], path: Path = template.TEMPLATE) -> None:
    """Refuse a stage one of whose names another stage could have.

    Two names of one kind are equal where one stage is the other with a longer ending: the bucket
    of `x-evidence` is the evidence bucket of `x`. The longer one is refused, also while the other
    does not exist: it may be made later.

    Raises:
        DeployError: it is such a stage.
    """
    names = derived(functions, path)
    for one in names:
        for other in names:
            shorter = _same_name(stage, one, other)
            if shorter is not None:
                ending = stage.removeprefix(shorter)
                name = f"{one.before}{stage}{_spelled(one.after)}"
                raise DeployError(
                    f"{stage!r} cannot be a stage: its {_word(one.kind)} {name} is also that of "
                    f"a stage {shorter!r}. Choose a name that does not end in {ending!r}"
                )


def _same_name(stage: str, one: Derived, other: Derived) -> str | None:
    """The shorter stage whose `other` name is this stage's `one` name, if there can be one."""
    if (one.kind, one.before) != (other.kind, other.before) or one.after == other.after:
        return None
    ending = other.after.removesuffix(one.after)
    shorter = stage.removesuffix(ending)
    if not other.after.endswith(one.after) or shorter == stage:
        return None
    return shorter if STAGE_PATTERN.fullmatch(shorter) else None


def _split(kind: str, name: str) -> Derived:
    before, _, after = name.partition(STAGE)
    return Derived(kind, before, after)


def _word(kind: str) -> str:
    return kind.rpartition("::")[2].lower()


def _spelled(text: str) -> str:
    """The text with CloudFormation's references as a person writes them, such as `<Region>`."""
    return re.sub(r"\$\{(?:AWS::)?(\w+)\}", r"<\1>", text)
