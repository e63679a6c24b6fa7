"""One stage on the real engines for all tests of this package."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from infra.engines.front import Front
from infra.local_stack import LocalStack, local_stack
from tests.e2e.stack import sweeps
from tests.e2e.stack.calls import Calls
from tests.engines.in_process import BUCKET_MS, app_on_ministack
from tests.engines.items import Items
from tests.functional.api import Api, Tenant

# As many as there are concurrent hosts in the tests: on Lambda nobody waits for a free worker.
WORKERS = 32


@pytest.fixture(scope="package")
def stack() -> Iterator[LocalStack]:
    """The stage, with MiniStack and SeaweedFS behind it; agents beat each second."""
    with local_stack(real=True, heartbeat_interval=1, workers=WORKERS) as running:
        sweeps.have_run(running)
        yield running


@pytest.fixture(scope="package")
def database(stack: LocalStack) -> Front:
    """What stands before MiniStack: its interceptors see every request to DynamoDB."""
    attached = stack.cloud._attached
    assert attached is not None
    return attached.dynamodb


@pytest.fixture(scope="package")
def items(stack: LocalStack) -> Items:
    """What is in the stage's tables."""
    return Items(stack)


@pytest.fixture(scope="package")
def secrets_seen(stack: LocalStack) -> set[str]:
    """Every raw secret that the tests of this package used."""
    return {stack.operator_key}


@pytest.fixture
def calls(stack: LocalStack, secrets_seen: set[str]) -> Iterator[Calls]:
    """A caller of the stage."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    with httpx.Client(timeout=60, limits=limits, trust_env=False) as http:
        yield Calls(stack, http, secrets_seen)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The app in this process, on a MiniStack of its own."""
    with app_on_ministack(tmp_path_factory.mktemp("in-process")) as running:
        yield running


@pytest.fixture
def tenant(api: Api) -> Tenant:
    """A fresh organization at the beginning of a bucket; its agents beat each minute."""
    clock = api.clock
    clock.now += BUCKET_MS - clock.now % BUCKET_MS
    return api.new_tenant()
