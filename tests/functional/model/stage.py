"""What all examples share: the app, its tables and its clients, which take long to make."""

import dataclasses
from dataclasses import dataclass, field

import boto3

from chalicelib import runtime, settings
from chalicelib.credentials.signing import Keyring
from chalicelib.store.artifact_bucket import ArtifactBucket
from tests.functional.api import Api
from tests.functional.model.snapshot import Tables
from tests.functional.model.state import BUCKET_SECONDS

# A year that no engine's own expiry of rows has come to: nothing may rely on it, either.
_START = 4_102_444_800_000


@dataclass
class Stage:
    """The system under test.

    Args:
        api: the app on a clock of its own.
        signing_secret: the stage's, fetched once.
    """

    api: Api
    signing_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        self.tables = Tables()
        self._bucket: ArtifactBucket = runtime.current().bucket

    @classmethod
    def of(cls, api: Api, signing_secret_arn: str) -> "Stage":
        """The stage of the functional tests."""
        client = boto3.client("secretsmanager")
        return cls(api, client.get_secret_value(SecretId=signing_secret_arn)["SecretString"])

    def begin(self) -> None:
        """A worker that has seen nothing, on empty tables, at the same time as ever."""
        self.tables.empty()
        clock = self.api.clock
        clock.now = _START
        fresh = runtime.Runtime(
            clock=clock,
            sleep=clock.slept.append,
            random=lambda: 0.5,
            # A sweep looks at every bucket since the last one, and this clock makes long steps.
            settings=dataclasses.replace(settings.load(), presence_bucket_seconds=BUCKET_SECONDS),
        )
        vars(fresh)["bucket"] = self._bucket
        vars(fresh)["keyring"] = Keyring(lambda: self.signing_secret, clock)
        runtime.use(fresh)
