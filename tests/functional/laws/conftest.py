"""The laws' tests are many: each begins with empty tables, so that none pays for those before."""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.botocore_stubber import BotocoreStubber
from moto.dynamodb.models import dynamodb_backends

from infra.emulator.in_process import REGION
from infra.emulator.patches import Patches
from tests.functional.clock import FrozenClock

if TYPE_CHECKING:
    from tests.functional.api import Api


@pytest.fixture(scope="session", autouse=True)
def one_request_at_a_time() -> Iterator[None]:
    """A cascade works in threads, and moto's tables are not made for that."""
    lock = threading.RLock()
    patches = Patches()

    def locked(original: Any) -> Any:
        def process_request(self: Any, request: Any) -> Any:
            with lock:
                return original(self, request)

        return process_request

    patches.wrap(BotocoreStubber, "process_request", locked)
    yield
    patches.undo()


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


@pytest.fixture(autouse=True)
def _empty_tables(stack: dict[str, str]) -> None:
    """Forget all rows: the emulator copies whole tables for each transaction."""
    assert stack
    for table in dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables.values():
        table.items.clear()
