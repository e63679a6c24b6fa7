"""Where a stage is deployed: an account and region, real or emulated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import UnknownRegionError

from infra.errors import DeployError

APP_NAME = "rollcall"
API_FUNCTION = "api_handler"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
STAGE_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,15}")

# Rollcall's own control-plane calls are few; API Gateway's limits are low (one deployment in five
# seconds an account), so patience is cheaper than a failed deployment.
_CONFIG = Config(retries={"mode": "standard", "max_attempts": 10}, connect_timeout=10)


@dataclass(frozen=True)
class Target:
    """A stage, and the credentials, region and endpoints with which it is reached.

    A real account and the emulated cloud differ in nothing but `environ` and `public_url`.

    Args:
        stage: name of the stage; part of every physical name.
        environ: the whole environment of the deployment, and of the processes it starts.
        public_url: base URL of the API where it is not the one that API Gateway gives.
        parameters: stack parameters to set; one that is absent keeps its present value.
        tags: of everything, beside `own_tags`; None leaves them as they are.
    """

    stage: str
    environ: Mapping[str, str] = field(repr=False)
    public_url: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not STAGE_PATTERN.fullmatch(self.stage):
            raise DeployError(
                f"{self.stage!r} cannot be a stage: a lower-case letter, then at most 15 "
                "letters, digits or hyphens"
            )
        if not self.region:
            raise DeployError("no region: set AWS_REGION or AWS_DEFAULT_REGION")

    @property
    def stack_name(self) -> str:
        """Name of the stage's CloudFormation stack."""
        return f"{APP_NAME}-{self.stage}"

    def role_name(self, function: str) -> str:
        """IAM's name of a function's role, which is Chalice's choice."""
        return f"{self.stack_name}-{function}"

    @property
    def own_tags(self) -> dict[str, str]:
        """By which everything of the stage is found; no other tag replaces them."""
        return {"application": APP_NAME, "stage": self.stage}

    @property
    def all_tags(self) -> dict[str, str]:
        """What everything of the stage is tagged with."""
        return {**(self.tags or {}), **self.own_tags}

    def function_name(self, function: str) -> str:
        """Lambda's name of a function, from Chalice's."""
        return self.stack_name if function == API_FUNCTION else f"{self.stack_name}-{function}"

    @cached_property
    def region(self) -> str:
        """The region, from the environment or the profile."""
        named = self.environ.get("AWS_REGION") or self.environ.get("AWS_DEFAULT_REGION")
        return named or self._session.region_name or ""

    @cached_property
    def _session(self) -> boto3.Session:
        environ = self.environ
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        if environ.get("AWS_ACCESS_KEY_ID"):
            return boto3.Session(
                aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=environ.get("AWS_SECRET_ACCESS_KEY"),
                aws_session_token=environ.get("AWS_SESSION_TOKEN"),
                region_name=region,
            )
        profile = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
        return boto3.Session(profile_name=profile, region_name=region)

    def endpoint(self, service: str) -> str | None:
        """The endpoint that the environment names for a service, as botocore would read it."""
        service_id = self._session._session.get_service_model(service).service_id  # noqa: SLF001
        variable = f"AWS_ENDPOINT_URL_{service_id.upper().replace(' ', '_').replace('-', '_')}"
        return self.environ.get(variable) or self.environ.get("AWS_ENDPOINT_URL")

    @property
    def is_emulated(self) -> bool:
        """Whether Lambda's endpoint is on this machine, where AWS has none."""
        host = urlsplit(self.endpoint("lambda") or "").hostname
        return host in _LOOPBACK

    def client(self, service: str) -> Any:  # noqa: ANN401 - the caller names the client's type
        """A client of one service, built from `environ` and nothing else."""
        return self._session.client(  # type: ignore[call-overload]
            service,
            region_name=self.region,
            endpoint_url=self.endpoint(service),
            config=_CONFIG,
        )

    @property
    def region_partition(self) -> str:
        """The partition of the region, from botocore's endpoint data and without asking AWS.

        Raises:
            DeployError: no partition has such a region.
        """
        try:
            return str(self._session.get_partition_for_region(self.region))
        except UnknownRegionError as error:
            raise DeployError(f"{self.region!r} is no region of AWS") from error

    @property
    def dns_suffix(self) -> str:
        """What the host names of AWS's services end with in the region's partition."""
        known = self._session._session.get_data("endpoints")["partitions"]  # noqa: SLF001
        wanted = self.region_partition
        return next(str(one["dnsSuffix"]) for one in known if one["partition"] == wanted)

    @cached_property
    def _identity(self) -> tuple[str, str]:
        identity = self.client("sts").get_caller_identity()
        return identity["Account"], identity["Arn"].split(":")[1]

    @property
    def account(self) -> str:
        """The account's number."""
        return self._identity[0]

    @property
    def partition(self) -> str:
        """`aws`, or the partition of China or of the government."""
        return self._identity[1]

    def child_environ(self) -> dict[str, str]:
        """The environment of a process that loads the application.

        Byte code written beside the sources would end up in the package and change its hash.
        """
        inherited = dict(self.environ)
        if inherited.get("AWS_ACCESS_KEY_ID"):
            # Keys win over a profile; but a profile that does not exist there is an error.
            for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
                inherited.pop(name, None)
        return {
            **inherited,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
