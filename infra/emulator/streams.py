"""DynamoDB streams to functions: event source mappings, polled through the Streams API.

Polling works on every engine that speaks the API, and delivers in order, in batches, with the
whole batch again after an error, as Lambda does.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

import boto3
from botocore.config import Config
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import EventSourceMapping, LambdaBackend, lambda_backends
from moto.dynamodbstreams.models import dynamodbstreams_backends

from infra.emulator.functions import Functions, short_name
from infra.emulator.patches import MotoObject, Patches
from infra.emulator.stream_poller import StreamPoller, StreamsClient

_STREAM_ARN = re.compile(r"arn:[^:]+:dynamodb:[^:]+:[^:]+:table/[^/]+/stream/.+")
POLL_SECONDS = 0.2
_log = logging.getLogger("rollcall.emulator")


class StreamDelivery:
    """Runs a poller for every mapping of a DynamoDB stream; a disabled one keeps its place.

    Args:
        functions: Where the events go.
        lock: Moto's lock, to look at its mappings.
        endpoint: The engine that has the streams; asked late, because moto's port comes late.
        region: The region of the streams.
    """

    def __init__(
        self,
        functions: Functions,
        lock: AbstractContextManager[Any],
        endpoint: Callable[[], str],
        region: str,
    ) -> None:
        self._functions = functions
        self._lock = lock
        self._endpoint = endpoint
        self._region = region
        self._pollers: dict[str, StreamPoller] = {}
        self._stopped = threading.Event()
        self._guard = threading.Lock()
        self._retired = 0
        self._thread = threading.Thread(target=self._watch, name="streams", daemon=True)

    @property
    def delivered(self) -> int:
        """How many batches were delivered."""
        with self._guard:
            return self._retired + sum(one.delivered for one in self._pollers.values())

    def install(self, patches: Patches) -> None:
        """Take stream mappings over from moto, which delivers inside the write.

        Moto hands the function every record that the stream ever held, under the lock, and then
        forgets them, which breaks its sequence numbers.
        """
        patches.wrap(LambdaBackend, "create_event_source_mapping", self._create)
        patches.wrap(LambdaBackend, "list_event_source_mappings", _list)

    def start(self) -> None:
        """Begin to watch for mappings."""
        self._thread.start()

    def stop(self) -> None:
        """End all pollers."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(2)
        with self._guard:
            pollers = list(self._pollers.values())
        for poller in pollers:
            poller.cancel()
        for poller in pollers:
            poller.join(1)

    def poll_once(self, timeout: float) -> None:
        """Wait until every poller has found its stream empty once more.

        Raises:
            TimeoutError: One has not within the time.
        """
        self._reconcile()
        with self._guard:
            pollers = list(self._pollers.values())
        until = time.monotonic() + timeout
        tickets = [(poller, poller.request_empty_poll()) for poller in pollers]
        for poller, ticket in tickets:
            if not poller.await_empty_poll(ticket, max(0.0, until - time.monotonic())):
                raise TimeoutError(f"the stream of {poller.function_name} is not drained")

    def _create(self, original: MotoObject) -> MotoObject:
        def create_event_source_mapping(backend: MotoObject, spec: dict[str, Any]) -> MotoObject:
            arn = str(spec.get("EventSourceArn", ""))
            name = spec.get("FunctionName")
            known = arn in self._stream_arns(backend)
            if not (name and known and _STREAM_ARN.fullmatch(arn)):
                return original(backend, spec)
            function = backend.get_function(name)
            _refuse_second(backend, arn, function)
            mapping = EventSourceMapping(
                {
                    **spec,
                    "FunctionName": function.function_name,
                    "RegionName": backend.region_name,
                    "AccountId": backend.account_id,
                    "FunctionArn": function.function_arn,
                }
            )
            # Not put on the table, so that moto does not deliver by itself.
            backend._event_source_mappings[mapping.uuid] = mapping  # noqa: SLF001
            return mapping

        return create_event_source_mapping

    @staticmethod
    def _stream_arns(backend: MotoObject) -> set[str]:
        streams = dynamodbstreams_backends[backend.account_id][backend.region_name]
        return {stream["StreamArn"] for stream in streams.list_streams()}

    def _watch(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            try:
                self._reconcile()
            except Exception:  # noqa: BLE001 - the thread has to go on
                _log.exception("looking at event source mappings failed")

    def _reconcile(self) -> None:
        with self._lock:
            wanted = {
                mapping.uuid: mapping
                for regions in lambda_backends.values()
                for backend in regions.values()
                for mapping in backend._event_source_mappings.values()  # noqa: SLF001
                if _STREAM_ARN.fullmatch(mapping.event_source_arn)
            }
        with self._guard:
            if self._stopped.is_set():
                return
            for uuid in [uuid for uuid in self._pollers if uuid not in wanted]:
                poller = self._pollers.pop(uuid)
                poller.cancel()
                self._retired += poller.delivered
            for uuid, mapping in wanted.items():
                if uuid not in self._pollers:
                    poller = StreamPoller(mapping, self._functions, self._client(), POLL_SECONDS)
                    self._pollers[uuid] = poller
                    poller.start()

    def _client(self) -> StreamsClient:
        config = Config(
            retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10, proxies={}
        )
        # A session of its own: the default one would read the developer's profile.
        session = boto3.session.Session(
            aws_access_key_id="emulated",
            aws_secret_access_key="emulated",  # noqa: S106 - nothing checks it
            region_name=self._region,
        )
        client = session.client("dynamodbstreams", endpoint_url=self._endpoint(), config=config)
        return cast("StreamsClient", client)


def _list(original: MotoObject) -> MotoObject:
    """Moto compares with the name that the mapping was made with; Lambda takes any form of it."""

    def list_event_source_mappings(
        backend: MotoObject, event_source_arn: str | None, function_name: str | None
    ) -> MotoObject:
        found = original(backend, event_source_arn, None)
        wanted = short_name(function_name) if function_name else None
        return [one for one in found if wanted in {None, short_name(one.function_name)}]

    return list_event_source_mappings


def _refuse_second(backend: MotoObject, arn: str, function: MotoObject) -> None:
    """Moto makes a second mapping of one function and stream, which then gets everything twice."""
    for mapping in backend._event_source_mappings.values():  # noqa: SLF001
        if (mapping.event_source_arn, mapping.function_arn) == (arn, function.function_arn):
            error = LambdaClientError(
                "ResourceConflictException",
                f'An event source mapping with event source arn (" {arn} ") and function '
                f'(" {function.function_name} ") already exists. Please update or delete the '
                f"existing mapping with UUID {mapping.uuid}",
            )
            error.code = 409
            raise error
