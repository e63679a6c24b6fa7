"""Limits of single methods: what API Gateway lets through of each, by a token bucket."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.apigateway.models import APIGatewayBackend

from infra.emulator.patches import MotoObject, Patches, require_parameters
from infra.emulator.routing import Route

_WHOLE_STAGE = "*/*"


@dataclass(slots=True)
class _Bucket:
    rate: float
    burst: int
    tokens: float
    filled: float

    def take(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Throttling:
    """The buckets of all stages.

    Only methods with a setting of their own have one: no caller on one machine reaches the limit of
    a whole stage. As on AWS, a setting survives the next deployment.

    Args:
        clock: Seconds since any moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], dict[str, _Bucket]] = {}
        self._guard = threading.Lock()

    def install(self, patches: Patches) -> None:
        """Learn of every change of a stage's settings; moto keeps them and enforces nothing."""
        require_parameters(APIGatewayBackend.update_stage, "function_id", "stage_name")
        patches.wrap(APIGatewayBackend, "update_stage", self._update)

    def admits(self, api_id: str, stage: str, route: Route) -> bool:
        """Whether one more request to a method is let through now."""
        resource = route.resource.replace("~", "~0").replace("/", "~1")
        with self._guard:
            bucket = self._buckets.get((api_id, stage), {}).get(f"{resource}/{route.method}")
            return bucket is None or bucket.take(self._clock())

    def _update(self, original: MotoObject) -> MotoObject:
        def update_stage(
            backend: MotoObject, function_id: str, stage_name: str, patch_operations: MotoObject
        ) -> MotoObject:
            stage = original(backend, function_id, stage_name, patch_operations)
            self._learn((function_id, stage_name), stage.method_settings)
            return stage

        return update_stage

    def _learn(self, stage: tuple[str, str], settings: dict[str, dict[str, Any]]) -> None:
        now = self._clock()
        with self._guard:
            buckets = self._buckets.setdefault(stage, {})
            for method, setting in settings.items():
                rate, burst = setting["throttlingRateLimit"], setting["throttlingBurstLimit"]
                known = buckets.get(method)
                if method != _WHOLE_STAGE and (
                    not known or (known.rate, known.burst) != (rate, burst)
                ):
                    buckets[method] = _Bucket(rate, burst, burst, now)
