"""Real engines behind an emulated cloud: fronts for the callers, a mirror for the template."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from infra.emulator.http_server import Answer
from infra.emulator.moto_server import Interceptor, MotoServer
from infra.emulator.patches import Patches
from infra.emulator.wire import Head
from infra.engines.engine import Engines
from infra.engines.front import Front
from infra.engines.mirror import Mirror
from infra.engines.uploads import Uploads, configures

# What a table is, is moto's to say, and the mirror follows; what is in it, is the engine's.
_ABOUT_TABLES = {
    *("CreateTable", "DeleteTable", "UpdateTable", "UpdateTimeToLive"),
    *("UpdateContinuousBackups", "DescribeContinuousBackups"),
    *("TagResource", "UntagResource", "ListTagsOfResource"),
}


class AttachedEngines:
    """The engines as the deployed functions and the deployer see them.

    Args:
        engines: running ones.
        moto: keeps the configuration of buckets.
        lock: moto's.
        region: of the account.
    """

    def __init__(
        self, engines: Engines, moto: MotoServer, lock: AbstractContextManager[Any], region: str
    ) -> None:
        self.dynamodb = Front("dynamodb", engines.dynamodb)
        self.s3 = Front("s3", engines.s3)
        self.dynamodb.interceptors.append(_to_moto(moto, _is_about_a_table))
        self.s3.interceptors.append(_to_moto(moto, _is_about_a_bucket))
        self.s3.observers.append(Uploads(engines.s3, lock, region).observe)
        self._mirror = Mirror(engines, region)
        self._running = ExitStack()

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead to the engines."""
        return Engines(self.dynamodb.url, self.s3.url).environ

    @property
    def interceptors(self) -> list[list[Interceptor]]:
        """The interceptors of each front."""
        return [self.dynamodb.interceptors, self.s3.interceptors]

    def install(self, patches: Patches) -> None:
        """Let the template's tables and buckets come into being on the engines."""
        self._mirror.install(patches)

    def start(self) -> None:
        """Begin to accept."""
        for front in (self.dynamodb, self.s3):
            self._running.callback(front.stop)
            front.start()

    def stop(self) -> None:
        """Close the ports; the engines are ended by whoever started them."""
        self._running.close()


def _is_about_a_table(head: Head, _path: str, _query: str) -> bool:
    return (head.get("x-amz-target") or "").rpartition(".")[2] in _ABOUT_TABLES


def _is_about_a_bucket(head: Head, path: str, query: str) -> bool:
    return configures(head.method, path, query)


def _to_moto(moto: MotoServer, belongs: Callable[[Head, str, str], bool]) -> Interceptor:
    def intercept(head: Head, path: str, query: str, body: bytes) -> Answer | None:
        return moto.answer(head, body, "127.0.0.1") if belongs(head, path, query) else None

    return intercept
