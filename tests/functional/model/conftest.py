"""The stage that the model's tests share."""

from collections.abc import Iterator

import pytest

from chalicelib.flows import bucket_sweep, end_agents
from tests.functional.api import Api
from tests.functional.model.stage import Stage


@pytest.fixture
def stage(api: Api, stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    # A race goes on request by request, so a function has one thread and not several.
    monkeypatch.setattr(end_agents, "AT_ONCE", 1)
    monkeypatch.setattr(bucket_sweep, "_AT_ONCE", 1)
    made = Stage.of(api, stack["SigningSecretArn"])
    yield made
    made.tables.empty()
