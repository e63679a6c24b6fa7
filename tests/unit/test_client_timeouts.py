"""A function's requests to S3 fit into the time that it has."""

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.runtime import Runtime
from tests.unit.store.test_presigned_addresses import SETTINGS

CONFIG = json.loads((Path(__file__).parents[2] / ".chalice" / "config.json").read_text("utf-8"))
# For the rows in DynamoDB and the other, short requests to S3.
REST_SECONDS = 5


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.setenv(name, "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nothing")


def longest(client: Any) -> float:
    """Seconds until a request has failed for good, the pause between attempts apart."""
    config = client.meta.config
    attempts = config.retries["total_max_attempts"]
    return float(attempts * (config.connect_timeout + config.read_timeout))


def seconds_of(function: str) -> int:
    return int(CONFIG["lambda_functions"][function]["lambda_timeout"])


def test_a_copy_of_the_largest_artifact_has_all_the_time_of_its_function_and_no_more() -> None:
    client: Any = Runtime(settings=SETTINGS).copying_bucket._client
    assert longest(client) <= seconds_of("verify_upload") - REST_SECONDS
    assert client.meta.config.read_timeout >= 20, "100 MiB take S3 seconds to copy"


def test_a_request_of_the_api_is_given_up_long_before_the_gateway_gives_up() -> None:
    client: Any = Runtime(settings=SETTINGS).bucket._client
    assert longest(client) <= seconds_of("api_handler") / 3
