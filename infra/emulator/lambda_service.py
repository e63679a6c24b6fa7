"""Moto's Lambda, made to run the uploaded code."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from moto.awslambda.models import LambdaBackend, LambdaFunction

from infra.emulator import packages
from infra.emulator.async_delivery import AsyncDelivery
from infra.emulator.functions import Function, Functions, QueueTimeoutError
from infra.emulator.http_server import Answer
from infra.emulator.patches import MotoObject, Patches, require_parameters
from infra.emulator.wire import Head
from infra.emulator.worker import FunctionSpec, Outcome, failure

DEFAULT_CONCURRENCY = 1000
_RECURSION = re.compile(r"/2024-08-31/functions/(?P<name>[^/]+)/recursion-config/?")
_ACCOUNT_SETTINGS = "/2016-08-19/account-settings"
_INVOKE = re.compile(r"/[^/]+/functions/(?P<name>[^/]+)/invocations/?")


class LambdaService:
    """Keeps the function pools in step with moto's functions and answers Invoke.

    Args:
        functions: Where the pools are.
        delivery: Takes what moto's other services send to a function.
        make: Makes a pool for a spec.
        code_root: Where packages are unpacked.
        concurrency: The account's limit as it is told; that of workers is another.
    """

    def __init__(
        self,
        functions: Functions,
        delivery: AsyncDelivery,
        make: Callable[[FunctionSpec], Function],
        code_root: Path,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        self._functions = functions
        self._delivery = delivery
        self._make = make
        self._code_root = code_root
        self._concurrency = concurrency
        self._recursive: dict[str, str] = {}

    def install(self, patches: Patches) -> None:
        """Hook into moto."""
        require_parameters(LambdaFunction._invoke_lambda, "event")  # noqa: SLF001 - what is replaced
        patches.wrap(LambdaFunction, "_invoke_lambda", self._deliver_later)
        patches.wrap(LambdaBackend, "create_function", self._after)
        patches.wrap(LambdaBackend, "update_function_code", self._after)
        patches.wrap(LambdaBackend, "update_function_configuration", self._after)
        patches.wrap(LambdaBackend, "delete_function", self._after_delete)

    def intercept(self, head: Head, path: str, query: str, body: bytes) -> Answer | None:
        """Answer the Invoke route outside of moto's lock, for the function may call moto."""
        del query
        found = _INVOKE.fullmatch(path)
        if head.method != "POST" or found is None:
            return None
        function = self._functions.get(unquote(found["name"]))
        if function is None:
            return None  # moto knows how to say that there is none
        kind = head.get("x-amz-invocation-type") or "RequestResponse"
        if kind == "DryRun":
            return 204, [], b""
        payload = body or b"{}"
        try:
            json.loads(payload)
        except ValueError:
            return _refusal("InvalidRequestContentException", "Could not parse request body")
        if kind == "Event":
            self._delivery.send(function.name, payload)
            return 202, [], b""
        return _invoked(function, payload, tail=head.get("x-amz-log-type") == "Tail")

    def tell_settings(self, head: Head, path: str, query: str, body: bytes) -> Answer | None:
        """Answer GetAccountSettings and the recursion configs, which moto does not know."""
        del query
        if found := _RECURSION.fullmatch(path):
            return self._recursion(found["name"], head.method, body)
        if head.method != "GET" or path.rstrip("/") != _ACCOUNT_SETTINGS:
            return None
        names = ("ConcurrentExecutions", "UnreservedConcurrentExecutions")
        limit = dict.fromkeys(names, self._concurrency)
        told = {"AccountLimit": limit, "AccountUsage": {"FunctionCount": len(self._functions)}}
        return 200, [("Content-Type", "application/json")], json.dumps(told).encode()

    def _recursion(self, name: str, method: str, body: bytes) -> Answer | None:
        if name not in self._functions:
            return _refusal("ResourceNotFoundException", f"Function not found: {name}")
        if method == "PUT":
            self._recursive[name] = json.loads(body)["RecursiveLoop"]
        told = {"RecursiveLoop": self._recursive.get(name, "Terminate")}
        return 200, [("Content-Type", "application/json")], json.dumps(told).encode()

    def _deliver_later(self, _: MotoObject) -> MotoObject:
        # S3, SNS, EventBridge and SQS end here, under the lock: never wait for the function.
        def invoke_lambda(function: MotoObject, event: MotoObject = None) -> tuple[str, bool, str]:
            self._delivery.send(function.function_name, event if event is not None else {})
            return "", False, ""

        return invoke_lambda

    def _after(self, original: MotoObject) -> MotoObject:
        def changed(backend: MotoObject, *args: MotoObject, **kwargs: MotoObject) -> MotoObject:
            result = original(backend, *args, **kwargs)
            name = _name_of(args, kwargs)
            self._functions.put(self._spec(backend.get_function(name)), self._make)
            return result

        return changed

    def _after_delete(self, original: MotoObject) -> MotoObject:
        def delete_function(
            backend: MotoObject, function_name: str, qualifier: str | None = None
        ) -> None:
            original(backend, function_name, qualifier)
            if not qualifier:
                self._functions.remove(function_name)

        return delete_function

    def _spec(self, function: MotoObject) -> FunctionSpec:
        name = function.function_name
        digest = function.code_sha_256
        return FunctionSpec(
            name=name,
            arn=function.function_arn,
            handler=function.handler or "",
            runtime=function.run_time or "",
            memory=int(function.memory_size),
            timeout=float(function.timeout),
            region=function.region,
            code_dir=packages.unpack(function.code_bytes, digest, name, self._code_root),
            environment=dict(function.environment_vars),
        )


def _name_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    first = args[0] if args else kwargs.get("spec") or kwargs["function_name"]
    return str(first["FunctionName"] if isinstance(first, dict) else first)


def _invoked(function: Function, payload: bytes, *, tail: bool) -> Answer:
    try:
        outcome = function.run(payload)
    except QueueTimeoutError as error:
        outcome = failure("ServiceException", str(error))
    return 200, _headers(function, outcome, tail=tail), outcome.payload


def _headers(function: Function, outcome: Outcome, *, tail: bool) -> list[tuple[str, str]]:
    headers = [
        ("Content-Type", "application/json"),
        ("X-Amz-Executed-Version", "$LATEST"),
        ("x-amzn-RequestId", outcome.request_id),
    ]
    if outcome.error is not None:
        headers.append(("X-Amz-Function-Error", outcome.error))
    if tail:
        last = function.logs.encode()[-4096:]
        headers.append(("X-Amz-Log-Result", base64.b64encode(last).decode()))
    return headers


def _refusal(kind: str, message: str) -> Answer:
    body = json.dumps({"Type": "User", "Message": message}).encode()
    return 400, [("Content-Type", "application/json"), ("x-amzn-ErrorType", kind)], body
