"""The one place of wiring: lazy clients, clock, signer. Everything that a test replaces."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from chalicelib.credentials.signing import Keyring
from chalicelib.flows.contention import Patience
from chalicelib.flows.environment_control import Controls
from chalicelib.flows.refusals import RefusalLog
from chalicelib.settings import Settings, load
from chalicelib.store.connection import service_client

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from chalicelib.credentials.password import Passwords
    from chalicelib.evidence.publisher import Publisher
    from chalicelib.evidence.signer import Signer
    from chalicelib.federation.directory import Directory
    from chalicelib.flows.denials import Denials
    from chalicelib.flows.releases import Releases
    from chalicelib.store.artifact_bucket import ArtifactBucket
    from chalicelib.store.evidence_bucket import EvidenceBucket
    from chalicelib.store.export_bucket import ExportBucket

# An API call must not wait long for one of AWS's answers.
READ_SECONDS = 3
COPY_SECONDS = 25


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass
class Runtime:
    """What a process keeps between requests.

    Args:
        clock: milliseconds since the epoch.
        sleep: waits for a number of seconds.
        random: a number from 0 up to 1.
        settings: the stage's settings.
    """

    clock: Callable[[], int] = wall_clock
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random
    settings: Settings = field(default_factory=load)
    controls: Controls = field(default_factory=Controls)
    refusals: RefusalLog = field(default_factory=RefusalLog)

    @cached_property
    def patience(self) -> Patience:
        """How contention is waited out."""
        return Patience(self.sleep, self.random)

    @cached_property
    def denials(self) -> "Denials":
        """Writes down denied attempts."""
        from chalicelib.flows.denials import Denials  # noqa: PLC0415

        return Denials(self.patience, self.settings.presence_bucket_seconds)

    @cached_property
    def passwords(self) -> "Passwords":
        """Hashes and verifies passwords."""
        from chalicelib.credentials.password import Passwords  # noqa: PLC0415

        return Passwords()

    @cached_property
    def providers(self) -> "Directory":
        """Speaks to the organizations' identity providers."""
        from chalicelib.federation.directory import Directory  # noqa: PLC0415
        from chalicelib.federation.fetch import Fetcher  # noqa: PLC0415

        return Directory(Fetcher(self.settings.oidc_loopback_ca), self.clock)

    @cached_property
    def keyring(self) -> Keyring:
        """Signs and checks runtime keys and cursors."""
        return Keyring(self._fetch_signing_secret, self.clock)

    def _fetch_signing_secret(self) -> str:
        # The keyring caches by itself and decides when to look again.
        answer = self._secrets.get_secret_value(SecretId=self.settings.signing_secret_arn)
        return str(answer["SecretString"])

    @cached_property
    def _secrets(self) -> "SecretsManagerClient":
        client: SecretsManagerClient = self._client("secretsmanager")
        return client

    @cached_property
    def bucket(self) -> "ArtifactBucket":
        """The stage's artifact bucket."""
        from chalicelib.store.artifact_bucket import ArtifactBucket  # noqa: PLC0415

        return ArtifactBucket(self._client("s3"), self.settings.bucket)

    @cached_property
    def copying_bucket(self) -> "ArtifactBucket":
        """The same, for a function that copies in it what may have 100 MiB, which takes S3 seconds.

        `verify_upload` has 60 seconds: two attempts fit into it, with the rest of its work.
        """
        from chalicelib.store.artifact_bucket import ArtifactBucket  # noqa: PLC0415

        return ArtifactBucket(self._client("s3", COPY_SECONDS), self.settings.bucket)

    @cached_property
    def exports(self) -> "ExportBucket":
        """The exports in that bucket."""
        from chalicelib.store.export_bucket import ExportBucket  # noqa: PLC0415

        return ExportBucket(self._client("s3"), self.settings.bucket)

    @cached_property
    def releases(self) -> "Releases":
        """The agent releases in that bucket."""
        from chalicelib.flows.releases import Releases  # noqa: PLC0415
        from chalicelib.store.release_bucket import ReleaseBucket  # noqa: PLC0415

        return Releases(ReleaseBucket(self._client("s3"), self.settings.bucket), self.clock)

    @cached_property
    def evidence_bucket(self) -> "EvidenceBucket":
        """The stage's evidence bucket."""
        from chalicelib.store.evidence_bucket import EvidenceBucket  # noqa: PLC0415

        return EvidenceBucket(self._client("s3"), self.settings.evidence_bucket)

    @cached_property
    def signer(self) -> "Signer":
        """Signs with the stage's KMS key."""
        from chalicelib.evidence.signer import Signer  # noqa: PLC0415

        return Signer(self._client("kms"), self.settings.signing_key_arn)

    @cached_property
    def publisher(self) -> "Publisher":
        """Publishes events to the stage's bus."""
        from chalicelib.evidence.publisher import Publisher  # noqa: PLC0415

        return Publisher(
            self._client("events"),
            self.settings.event_bus,
            self._client("sqs"),
            self.settings.dead_letter_queue_url,
        )

    # Clients are made at run time.
    def _client(self, service: str, read_seconds: int = READ_SECONDS) -> Any:  # noqa: ANN401
        config = Config(
            connect_timeout=1,
            read_timeout=read_seconds,
            retries={"total_max_attempts": 2, "mode": "standard"},
            signature_version="s3v4" if service == "s3" else None,
            # Presigned addresses must name the region: the global endpoint redirects for hours
            # after a bucket is made, and in newer regions refuses for ever.
            s3={"addressing_style": "virtual"} if service == "s3" else None,
        )
        return service_client(service, config)


_current: list[Runtime] = []


def current() -> Runtime:
    """The process's runtime, made at first use."""
    if not _current:
        _current.append(Runtime())
    return _current[0]


def use(runtime: Runtime | None) -> None:
    """Replace the process's runtime; None makes the next use create a fresh one."""
    _current[:] = [] if runtime is None else [runtime]
