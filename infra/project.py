"""The Chalice project of one stage, staged outside the tracked files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from infra import concurrency
from infra.errors import DeployError
from infra.release_key import KEY_SHA256

if TYPE_CHECKING:
    from infra.target import Target

TABLE_KEY = "TableKey"
"""Parameter and output of the stack: `aws-owned`, `aws-managed`, or the ARN of a KMS key."""

# What survives from one deployment to the next: Chalice's package cache and its state.
_KEPT = ("deployed", "deployments")
_SOURCES = ("app.py", "chalicelib", "requirements.txt")


@dataclass(frozen=True)
class Project:
    """A staged project: what `chalice deploy` is run in."""

    path: Path
    stage: str
    functions: tuple[str, ...]

    @property
    def state_file(self) -> Path:
        """Where Chalice keeps what it has deployed."""
        return self.path / ".chalice" / "deployed" / f"{self.stage}.json"


def tracked_config(root: Path) -> dict[str, Any]:
    """Chalice's configuration as the repository has it."""
    config: dict[str, Any] = json.loads((root / ".chalice" / "config.json").read_text("utf-8"))
    return config


def stage_project(
    target: Target, root: Path, work_dir: Path, outputs: Mapping[str, str]
) -> Project:
    """Copy the sources and render configuration and policies for one stage.

    Args:
        target: the stage.
        root: the repository.
        work_dir: where the copy is made, as `<work_dir>/<stage>/project`.
        outputs: the stack's.

    Raises:
        DeployError: a source, a policy or an output is missing.
    """
    path = work_dir / target.stage / "project"
    _clear(path)
    for name in _SOURCES:
        source = root / name
        if source.is_dir():
            shutil.copytree(
                source, path / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
        elif source.is_file():
            shutil.copy2(source, path / name)
        else:
            raise DeployError(f"{name} is missing; without it the deployed package is incomplete")
    config = render_config(tracked_config(root), target, outputs)
    values = placeholders(target, outputs)
    for name, settings in config["lambda_functions"].items():
        source = root / ".chalice" / settings["iam_policy_file"]
        policy = render_policy(name, source.read_text("utf-8"), values)
        _write(path / ".chalice" / settings["iam_policy_file"], policy)
    _write(path / ".chalice" / "config.json", config)
    return Project(path, target.stage, tuple(config["lambda_functions"]))


def environment(target: Target, outputs: Mapping[str, str]) -> dict[str, str]:
    """The functions' environment: of the stack and nothing of the deployer's shell."""
    needed = {
        "ROLLCALL_TABLE_PREFIX": "TablePrefix",
        "ROLLCALL_BUCKET": "BucketName",
        "ROLLCALL_EVENT_BUS": "EventBusName",
        "ROLLCALL_DEAD_LETTER_QUEUE_URL": "DeadLetterQueueUrl",
        "ROLLCALL_SIGNING_SECRET_ARN": "SigningSecretArn",
        "ROLLCALL_AUDIT_STREAM_ARN": "AuditRecordsStreamArn",
        "ROLLCALL_JOBS_STREAM_ARN": "JobsStreamArn",
        "ROLLCALL_SIGNING_KEY_ARN": "SigningKeyArn",
        "ROLLCALL_EVIDENCE_BUCKET": "EvidenceBucketName",
        "ROLLCALL_EVIDENCE_RETENTION_DAYS": "EvidenceRetentionDays",
        "ROLLCALL_ARTIFACT_RETENTION_DAYS": "ArtifactRetentionDays",
        "ROLLCALL_PRESENCE_BUCKET_SECONDS": "PresenceBucketSeconds",
    }
    values = {
        "ROLLCALL_STAGE": target.stage,
        "POWERTOOLS_SERVICE_NAME": "rollcall",
        "POWERTOOLS_METRICS_NAMESPACE": "Rollcall",
    }
    for variable, output in needed.items():
        if not outputs.get(output):
            raise DeployError(f"the stack has no output {output}, which {variable} needs")
        values[variable] = outputs[output]
    if fingerprint := outputs.get(KEY_SHA256):
        values["ROLLCALL_RELEASE_KEY_SHA256"] = fingerprint
    if url := public_url(target, outputs):
        values["ROLLCALL_PUBLIC_URL"] = url
    return values


def public_url(target: Target, outputs: Mapping[str, str]) -> str | None:
    """The API's base URL, where it is not the one that API Gateway gives."""
    if target.public_url:
        return target.public_url.rstrip("/")
    domain = outputs.get("ApiDomainName")
    return f"https://{domain}" if domain else None


def render_config(
    tracked: Mapping[str, Any], target: Target, outputs: Mapping[str, str]
) -> dict[str, Any]:
    """The tracked configuration with this stage, and only this one, filled in.

    Nothing is compressed by the gateway: answers are small, some hold a secret that is shown
    once, and the same switch would make it inflate request bodies.
    """
    config = {key: value for key, value in tracked.items() if key != "stages"}
    functions = {
        name: dict(settings) for name, settings in tracked.get("lambda_functions", {}).items()
    }
    reserved = concurrency.parse(outputs.get(concurrency.PARAMETER, ""), functions)
    for name, number in reserved.items():
        functions[name]["reserved_concurrency"] = number
    config["lambda_functions"] = functions
    config["stages"] = {
        target.stage: {
            "api_gateway_stage": target.stage,
            "environment_variables": environment(target, outputs),
            "tags": target.all_tags,
        }
    }
    return config


def placeholders(target: Target, outputs: Mapping[str, str]) -> dict[str, str]:
    """What a policy may refer to."""
    return {
        **outputs,
        "Stage": target.stage,
        "Account": target.account,
        "Region": target.region,
        "Partition": target.partition,
    }


def render_policy(function: str, text: str, values: Mapping[str, str]) -> dict[str, Any]:
    """A policy with its placeholders filled in.

    Raises:
        DeployError: it refers to something that the stack does not have.
    """
    try:
        document: dict[str, Any] = json.loads(Template(text).substitute(values))
    except (KeyError, ValueError) as error:
        raise DeployError(f"the policy of {function} cannot be rendered: {error}") from error
    if own := _use_of_table_key(document.get("Statement", []), values):
        document["Statement"] += own
    return document


def _use_of_table_key(
    statements: Iterable[Mapping[str, Any]], values: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The right to have DynamoDB decrypt with the stage's own key; AWS's keys need none."""
    key = values.get(TABLE_KEY, "")
    reads = any(action.startswith("dynamodb:") for one in statements for action in one["Action"])
    if ":kms:" not in key or not reads:
        return []
    return [
        {
            "Sid": "ReadTablesOfOwnKey",
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": [key],
            "Condition": {"StringLike": {"kms:ViaService": f"dynamodb.{values['Region']}.*"}},
        }
    ]


def _clear(path: Path) -> None:
    chalice = path / ".chalice"
    chalice.mkdir(parents=True, exist_ok=True)
    for entry in [*path.iterdir(), *chalice.iterdir()]:
        if entry == chalice or (entry.parent == chalice and entry.name in _KEPT):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
