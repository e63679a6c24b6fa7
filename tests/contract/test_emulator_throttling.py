"""The emulated gateway keeps the limits that the deployer sets for single methods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra import gateway
from infra.emulator.cloud import EmulatedCloud
from infra.local_stack import emulated_target
from infra.target import Target

STAGE = "dev"
HASHING = [path for _, path in gateway.HASHING_ROUTES]
METHODS = [(method, path) for path in (*HASHING, "/other") for method in ("GET", "POST")]


@dataclass
class Rig:
    """A stage that answers by itself, finished as the deployer finishes it."""

    target: Target
    api: str
    url: str
    http: httpx.Client
    now: list[float]

    def asked(self, method: str, path: str, times: int = 1) -> list[int]:
        """The status codes of requests, one after the other."""
        url = f"{self.url}{path}"
        return [self.http.request(method, url).status_code for _ in range(times)]


def document() -> bytes:
    """An API as Chalice writes it, of methods without a function."""
    paths: dict[str, Any] = {}
    for method, path in METHODS:
        integration = {"type": "mock", "responses": {"default": {"statusCode": "200"}}}
        paths.setdefault(path, {})[method.lower()] = {
            "x-amazon-apigateway-integration": integration
        }
    info = {"title": "probe", "version": "1"}
    return json.dumps({"swagger": "2.0", "info": info, "paths": paths}).encode()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    now = [0.0]
    with (
        EmulatedCloud(tmp_path / "cloud", gateway_clock=lambda: now[0]) as cloud,
        httpx.Client(trust_env=False, timeout=10) as http,
    ):
        target = emulated_target(cloud, {}, STAGE)
        client = target.client("apigateway")
        api = client.import_rest_api(body=document())["id"]
        client.create_deployment(restApiId=api, stageName=STAGE)
        gateway.finish_stage(target, api)
        yield Rig(target, api, cloud.api_url(STAGE), http, now)


@pytest.mark.parametrize("path", HASHING)
def test_a_burst_passes_and_then_as_many_a_second_as_the_setting_says(rig: Rig, path: str) -> None:
    burst, rate = gateway.HASHING_BURST_LIMIT, gateway.HASHING_RATE_LIMIT
    assert rig.asked("POST", path, burst + 2) == [200] * burst + [429] * 2
    rig.now[0] += 1
    assert rig.asked("POST", path, rate + 1) == [200] * rate + [429]
    rig.now[0] += 60
    assert rig.asked("POST", path, burst + 1) == [200] * burst + [429]


def test_what_is_not_let_through_is_told_in_the_words_of_the_api(rig: Rig) -> None:
    rig.asked("POST", HASHING[0], gateway.HASHING_BURST_LIMIT)
    answer = rig.http.post(f"{rig.url}{HASHING[0]}")
    throttled = gateway.PROBLEMS["THROTTLED"]
    assert answer.status_code == throttled.status == 429
    assert answer.headers["retry-after"] == str(throttled.retry_after)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == throttled.code


def test_no_other_method_pays_for_it(rig: Rig) -> None:
    more = gateway.HASHING_BURST_LIMIT + 2
    assert 429 in rig.asked("POST", HASHING[0], more)
    assert rig.asked("GET", HASHING[0], more) == [200] * more
    assert rig.asked("POST", "/other", more) == [200] * more
    assert rig.asked("POST", HASHING[1]) == [200]


def test_another_deployment_changes_nothing_about_it(rig: Rig) -> None:
    rig.asked("POST", HASHING[0], gateway.HASHING_BURST_LIMIT)
    rig.target.client("apigateway").create_deployment(restApiId=rig.api, stageName=STAGE)
    assert rig.asked("POST", HASHING[0]) == [429]
    gateway.finish_stage(rig.target, rig.api)
    assert rig.asked("POST", HASHING[0]) == [429]
