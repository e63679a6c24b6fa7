"""Reading `stack.yaml` without deploying it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.errors import DeployError

TEMPLATE = Path(__file__).with_name("stack.yaml")
MOST_BYTES = 51_200
"""Of a template in the request itself; 1 MB of one in S3."""

_NAME_PROPERTY = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::SecretsManager::Secret": "Name",
}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    key = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        scalar = loader.construct_scalar(node)
        if key == "Fn::GetAtt":
            return {key: str(scalar).split(".", 1)}
        return {key: scalar}
    if isinstance(node, yaml.SequenceNode):
        return {key: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {key: loader.construct_mapping(node, deep=True)}
    raise TypeError(f"unexpected YAML node {node!r}")


_Loader.add_multi_constructor("!", _short_form)


@cache
def load(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template, with its short forms written out. Do not change what is returned."""
    parsed: dict[str, Any] = yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506
    return parsed


def body(path: Path = TEMPLATE) -> str:
    """The template as CloudFormation gets it: without comments, of which it counts every byte.

    Raises:
        DeployError: it is too large also so.
    """
    lines = path.read_text("utf-8").splitlines()
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    text = "\n".join([*kept, ""])
    size = len(text.encode())
    if size > MOST_BYTES:
        raise DeployError(
            f"{path.name} has {size:,} bytes and CloudFormation takes {MOST_BYTES:,}: "
            "split it, or upload it to a bucket and pass its address"
        )
    return text


@dataclass(frozen=True)
class Retained:
    """A resource that outlives the stack, because it holds data or keys."""

    kind: str
    name: str


def retained(names: dict[str, str], path: Path = TEMPLATE) -> list[Retained]:
    """Resources that CloudFormation keeps, by their physical names.

    Args:
        names: values for the references in names, such as `Stage` and `AWS::AccountId`.
        path: the template.
    """
    found = []
    for resource in load(path)["Resources"].values():
        prop = _NAME_PROPERTY.get(resource["Type"])
        if prop and resource.get("DeletionPolicy") == "Retain":
            name = resource["Properties"][prop]["Fn::Sub"]
            for reference, value in names.items():
                name = name.replace(f"${{{reference}}}", value)
            found.append(Retained(resource["Type"], name))
    return found
