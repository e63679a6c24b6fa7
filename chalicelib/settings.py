"""The only reader of the environment."""

import os
import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

LOOPBACK_STAGE = "_loopback"
"""No stage of this name can be deployed: the deployer and the template want a letter first."""


class SettingMissingError(RuntimeError):
    """A setting that this function cannot work without is absent or malformed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a stage is made of; the deployer renders it from the stack's outputs."""

    stage: str
    table_prefix: str
    bucket: str
    event_bus: str
    dead_letter_queue_url: str
    signing_secret_arn: str
    audit_stream_arn: str
    jobs_stream_arn: str
    signing_key_arn: str
    """The KMS key whose signatures anyone can verify offline."""
    evidence_bucket: str
    public_url: str | None
    """Base URL of the API, when it is not the one of the request context (custom domain)."""
    presence_bucket_seconds: int
    """Width of the buckets of the overdue index: how coarse, and how late, `agent.offline` is."""
    artifact_retention_days: int
    """How long a stored artifact's row lives; the bucket keeps the object as long."""
    evidence_retention_days: int
    """How long a sealed batch promises that its records are there."""
    oidc_loopback_ca: str | None = None
    """Bundle of certificates for identity providers on the loopback, which is then the only place
    where they may be. For `LOOPBACK_STAGE` alone."""
    release_key_sha256: str | None = None
    """Fingerprint of the key that signs agent releases. No function may use that key."""


def _required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SettingMissingError(f"{name} is not set")
    return value


def _loopback_ca() -> str | None:
    bundle = os.environ.get("ROLLCALL_OIDC_LOOPBACK_CA") or None
    if bundle is not None and _required("ROLLCALL_STAGE") != LOOPBACK_STAGE:
        raise SettingMissingError("ROLLCALL_OIDC_LOOPBACK_CA is for no stage that can be deployed")
    return bundle


def _fingerprint(name: str) -> str | None:
    value = os.environ.get(name) or None
    if value is not None and not re.fullmatch(r"[0-9a-f]{64}", value):
        raise SettingMissingError(f"{name} must be 64 lower-case hexadecimal digits")
    return value


def _positive(name: str, default: int) -> int:
    raw = os.environ.get(name) or str(default)
    if not raw.isdecimal() or int(raw) < 1:
        raise SettingMissingError(f"{name} must be a positive whole number")
    return int(raw)


class Sources(NamedTuple):
    """What starts the functions that events start. Chalice reads it when it deploys them."""

    audit_stream_arn: str
    jobs_stream_arn: str
    bucket: str


def is_chalice_command() -> bool:
    """Whether this process is a command of Chalice, which sets this variable, and no function."""
    return "AWS_CHALICE_CLI_MODE" in os.environ


def sources() -> Sources:
    """Where the functions' events come from, each empty where nothing says so.

    Raises:
        SettingMissingError: a setting is absent, in a function, which must not start then, or in
            a command of Chalice, which must not deploy without it.
    """
    if is_chalice_command() or "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        load()
    names = ("ROLLCALL_AUDIT_STREAM_ARN", "ROLLCALL_JOBS_STREAM_ARN", "ROLLCALL_BUCKET")
    return Sources(*(os.environ.get(name, "") for name in names))


@cache
def load() -> Settings:
    """Read the settings, once a process.

    Raises:
        SettingMissingError: one is absent; a function that cannot know its tables must not start.
    """
    return Settings(
        stage=_required("ROLLCALL_STAGE"),
        table_prefix=_required("ROLLCALL_TABLE_PREFIX"),
        bucket=_required("ROLLCALL_BUCKET"),
        event_bus=_required("ROLLCALL_EVENT_BUS"),
        dead_letter_queue_url=_required("ROLLCALL_DEAD_LETTER_QUEUE_URL"),
        signing_secret_arn=_required("ROLLCALL_SIGNING_SECRET_ARN"),
        audit_stream_arn=_required("ROLLCALL_AUDIT_STREAM_ARN"),
        jobs_stream_arn=_required("ROLLCALL_JOBS_STREAM_ARN"),
        signing_key_arn=_required("ROLLCALL_SIGNING_KEY_ARN"),
        evidence_bucket=_required("ROLLCALL_EVIDENCE_BUCKET"),
        public_url=os.environ.get("ROLLCALL_PUBLIC_URL") or None,
        presence_bucket_seconds=_positive("ROLLCALL_PRESENCE_BUCKET_SECONDS", 300),
        artifact_retention_days=_positive("ROLLCALL_ARTIFACT_RETENTION_DAYS", 90),
        evidence_retention_days=_positive("ROLLCALL_EVIDENCE_RETENTION_DAYS", 400),
        oidc_loopback_ca=_loopback_ca(),
        release_key_sha256=_fingerprint("ROLLCALL_RELEASE_KEY_SHA256"),
    )
