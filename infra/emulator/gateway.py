"""The HTTP side of the emulated API Gateway."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate

from infra.emulator import gateway_responses as answers
from infra.emulator.functions import Function, QueueTimeoutError
from infra.emulator.gateway_responses import Refusal
from infra.emulator.http_server import Answer, HttpServer
from infra.emulator.proxy_event import (
    MalformedResultError,
    Origin,
    build_event,
    is_binary,
    parse_result,
)
from infra.emulator.rest_apis import RestApis, Snapshot
from infra.emulator.routing import Match
from infra.emulator.throttling import Throttling
from infra.emulator.wire import BodyTooLargeError, Head, Wire, WireError
from infra.emulator.worker import MAX_PAYLOAD, StillRunningError

MAX_BODY = 10 * 1024 * 1024
_MAX_HEADERS = 10_240
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USER_REQUEST = re.compile(r"/restapis/([^/]+)/([^/]+)/_user_request_(/.*)?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Call:
    """One request on its way through the gateway."""

    head: Head
    peer: str
    request_id: str
    snapshot: Snapshot
    path: str
    query: str

    def refuse(self, refusal: Refusal) -> Answer:
        context = {
            "requestId": self.request_id,
            "extendedRequestId": self.request_id[:16],
            "apiId": self.snapshot.api_id,
            "stage": self.snapshot.stage,
            "httpMethod": self.head.method,
            "path": f"/{self.snapshot.stage}{self.path}",
            "identity.sourceIp": self.peer,
        }
        return answers.render(refusal, self.snapshot.responses, context)


class Gateway:
    """Serves the deployed stages on a free loopback port.

    Args:
        apis: The deployed APIs.
        functions: The functions by ARN.
        timeout: Seconds until 504; API Gateway's own limit is 29.
        throttling: The limits of single methods.

    Attributes:
        signatures_are_configurable: Whether a complaint about a signature takes the form of the
            API's gateway response. AWS does not say that it does, and callers report its own words.
    """

    def __init__(
        self,
        apis: RestApis,
        functions: Mapping[str, Function],
        timeout: float,
        throttling: Throttling,
    ) -> None:
        self._apis = apis
        self._functions = functions
        self._timeout = timeout
        self._throttling = throttling
        self.signatures_are_configurable = False
        self._server = HttpServer("gateway", self._handle)

    @property
    def url(self) -> str:
        """The base URL, without a stage."""
        return self._server.url

    def start(self) -> None:
        """Begin to accept."""
        self._server.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._server.stop()

    def _handle(self, wire: Wire, head: Head, peer: str) -> Answer:
        request_id = str(uuid.uuid4())
        status, headers, body = self._answer(wire, head, peer, request_id)
        headers += [
            ("Date", formatdate(usegmt=True)),
            ("x-amzn-RequestId", request_id),
            ("x-amz-apigw-id", request_id[:16]),
        ]
        return status, headers, body

    def _answer(self, wire: Wire, head: Head, peer: str, request_id: str) -> Answer:
        call = self._locate(head, peer, request_id)
        try:
            body = wire.read_body(head, MAX_BODY)
        except BodyTooLargeError:
            body = None
        if call is None:
            return 403, [("Content-Type", "application/json")], b'{"message":"Forbidden"}'
        if body is None:
            return call.refuse(answers.REQUEST_TOO_LARGE)
        if head.size > _MAX_HEADERS:
            raise WireError(431, "Request Header Fields Too Large")
        if _BAD_ESCAPE.search(head.target):
            return call.refuse(answers.BAD_REQUEST)
        return self._route(call, body)

    def _route(self, call: _Call, body: bytes) -> Answer:
        match = call.snapshot.routes.match(call.head.method, call.path)
        if match is None:
            return self._refuse_unmatched(call)
        if not self._throttling.admits(call.snapshot.api_id, call.snapshot.stage, match.route):
            return call.refuse(answers.THROTTLED)
        if match.route.function_arn is None:
            return match.route.mock_status, list(match.route.mock_headers), b""
        return self._invoke(call, match, body)

    def _refuse_unmatched(self, call: _Call) -> Answer:
        refusal = answers.unmatched(call.head.get("authorization"))
        if refusal.kind == answers.INVALID_SIGNATURE and not self.signatures_are_configurable:
            call = replace(call, snapshot=replace(call.snapshot, responses={}))
        return call.refuse(refusal)

    def _locate(self, head: Head, peer: str, request_id: str) -> _Call | None:
        target = head.target
        if "://" in target[:10]:  # absolute form, as a proxy sends it
            target = "/" + target.split("://", 1)[1].partition("/")[2]
        path, _, query = target.partition("?")
        if found := _USER_REQUEST.match(path):
            snapshot = self._apis.stage_of(found[1], found[2])
            below = found[3] or "/"
        else:
            stage, slash, rest = path.removeprefix("/").partition("/")
            snapshot = self._apis.stage(stage)
            below = slash + rest or "/"
        if snapshot is None:
            return None
        return _Call(head, peer, request_id, snapshot, below, query)

    def _invoke(self, call: _Call, match: Match, body: bytes) -> Answer:
        event = self._event(call, match, body)
        if len(event) > MAX_PAYLOAD:
            return call.refuse(answers.PAYLOAD_TOO_LARGE)
        try:
            function = self._functions[match.route.function_arn or ""]
            outcome = function.run(event, self._timeout)
        except KeyError:
            return call.refuse(answers.BAD_FUNCTION)
        except (StillRunningError, QueueTimeoutError):
            return call.refuse(answers.INTEGRATION_TIMEOUT)
        if outcome.error is not None:
            return call.refuse(answers.BAD_FUNCTION)
        try:
            types = call.snapshot.binary_types
            return parse_result(outcome.payload, types, call.head.get("accept"))
        except MalformedResultError:
            return call.refuse(answers.BAD_FUNCTION)

    def _event(self, call: _Call, match: Match, body: bytes) -> bytes:
        origin = Origin(
            api_id=call.snapshot.api_id,
            stage=call.snapshot.stage,
            stage_variables=call.snapshot.variables,
            account=call.snapshot.account,
            domain=f"127.0.0.1:{self._server.port}",
            port=self._server.port,
            peer=call.peer,
            request_id=call.request_id,
            path=call.path,
            query=call.query,
        )
        binary = is_binary(call.snapshot.binary_types, call.head.get("content-type"))
        event = build_event(call.head, body, match, origin, binary=binary)
        return json.dumps(event, separators=(",", ":")).encode()
