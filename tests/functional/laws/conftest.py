"""The laws' tests are many: each begins with empty tables, so that none pays for those before."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.functional.clock import FrozenClock
from tests.functional.one_at_a_time import one_at_a_time

if TYPE_CHECKING:
    from tests.functional.api import Api


@pytest.fixture(scope="package", autouse=True)
def one_request_at_a_time() -> Iterator[None]:
    """A cascade works in threads, and moto's tables are not made for that."""
    with one_at_a_time():
        yield


@pytest.fixture(scope="package")
def signing_secret(stack: dict[str, str]) -> str:
    """The stage's signing secret, fetched once: making a client for each test takes long."""
    client = boto3.client("secretsmanager")
    return str(client.get_secret_value(SecretId=stack["SigningSecretArn"])["SecretString"])


@pytest.fixture(autouse=True)
def _known_signing_secret(api: "Api", signing_secret: str, clock: FrozenClock) -> None:
    """A worker that has the secret; what it is to fetch it is for law 7."""
    from chalicelib import runtime
    from chalicelib.credentials.signing import Keyring

    assert api
    vars(runtime.current())["keyring"] = Keyring(lambda: signing_secret, clock)


@pytest.fixture
def swept(api: "Api", clock: FrozenClock) -> FrozenClock:
    """The start of a bucket, on a stage whose sweep has been running."""
    from chalicelib import settings
    from chalicelib.store import sweep_watermark

    assert api
    clock.now -= clock.now % (settings.load().presence_bucket_seconds * 1000)
    for watermark in (sweep_watermark.OVERDUE, sweep_watermark.DENIALS):
        sweep_watermark.advance(clock.now // 1000 - 600, watermark)
    return clock


@pytest.fixture(autouse=True)
def _empty_tables(stack: dict[str, str]) -> None:
    """Forget the rows of the tests before."""
    from tests.functional.world import empty_tables

    assert stack
    empty_tables()
