"""The emulated cloud as one object: moto, a gateway, workers and the deliveries between them."""

import logging
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from moto.moto_api._internal.models import moto_api_backend

from infra.emulator import exclusive
from infra.emulator.account import ISOLATED, REGION
from infra.emulator.api_tags import ApiTags
from infra.emulator.async_delivery import AsyncDelivery
from infra.emulator.functions import Function, Functions
from infra.emulator.gaps import close_gaps
from infra.emulator.gateway import Gateway
from infra.emulator.lambda_service import DEFAULT_CONCURRENCY, LambdaService
from infra.emulator.moto_server import Interceptor, MotoServer
from infra.emulator.patches import Patches
from infra.emulator.rest_apis import RestApis
from infra.emulator.schedules import Schedules
from infra.emulator.settling import Settling
from infra.emulator.streams import StreamDelivery
from infra.emulator.throttling import Throttling
from infra.emulator.worker import FunctionSpec, Worker
from infra.engines.attached import AttachedEngines
from infra.engines.engine import Engines

GATEWAY_TIMEOUT = 29.0


class EmulatedCloud:
    """An account of its own, on loopback ports, that runs what was uploaded to it.

    Args:
        run_dir: Everything that it writes goes below; removed on exit.
        engines: Running engines for DynamoDB and S3 in moto's place.
        workers: The most workers of a function.
        runtime_dir: Where ``awslambdaric`` is installed; default ``lambda-runtime`` in the
            virtual environment.
        gateway_timeout: Seconds until the gateway answers 504.
        gateway_clock: By which it counts requests, in seconds.
        concurrency: The account's limit of invocations at a time, as Lambda tells it.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        engines: Engines | None = None,
        workers: int = 2,
        runtime_dir: Path | None = None,
        gateway_timeout: float = GATEWAY_TIMEOUT,
        gateway_clock: Callable[[], float] = time.monotonic,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        self._concurrency = concurrency
        self._run_dir = run_dir
        self._engines = engines
        self._attached: AttachedEngines | None = None
        self._workers = workers
        self._runtime_dir = runtime_dir or Path(sys.prefix) / "lambda-runtime"
        self._gateway_timeout = gateway_timeout
        self._throttling = Throttling(gateway_clock)
        self._stack = ExitStack()
        self.functions = Functions()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything; harmless when called twice."""
        self._stack.close()

    @property
    def endpoint_url(self) -> str:
        """Moto's base URL."""
        return self._moto.url

    @property
    def environ(self) -> dict[str, str]:
        """Variables for boto3 or a child: this account, and nothing of the developer's own."""
        return {
            # SeaweedFS, with reason, knows no session that nobody opened.
            **(self._attached.environ if self._attached else {"AWS_SESSION_TOKEN": "emulated"}),
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "emulated",
            "AWS_SECRET_ACCESS_KEY": "emulated",
            **ISOLATED,
            "AWS_PAGER": "",
        }

    @property
    def interceptors(self) -> list[list[Interceptor]]:
        """Every list of interceptors that a request to AWS may pass."""
        return [self._moto.interceptors, *(self._attached.interceptors if self._attached else [])]

    def refuse_while_settling(self) -> Settling:
        """From now on, refuse once what AWS refuses while a role or permission is new."""
        settling = Settling()
        for interceptors in self.interceptors:
            interceptors.insert(0, settling.intercept)
        return settling

    def api_url(self, stage: str) -> str:
        """The URL of a stage, known before anything is deployed."""
        return f"{self._gateway.url}/{stage}"

    def configure_signature_answers(self, *, on: bool) -> None:
        """Let gateway responses decide, or not, what a complaint about a signature looks like."""
        self._gateway.signatures_are_configurable = on

    def wait_idle(self, timeout: float = 60.0) -> None:
        """Wait until every asynchronous delivery that is due has been made.

        Raises:
            TimeoutError: Something is still under way, or fails and is retried.
        """
        until = time.monotonic() + timeout
        while True:
            before = self._delivery.delivered + self._streams.delivered
            self._await_quiet(until)
            self._streams.poll_once(max(0.0, until - time.monotonic()))
            quiet = self._delivery.idle
            if quiet and before == self._delivery.delivered + self._streams.delivered:
                return

    def run_schedule(self, rule_or_function: str) -> None:
        """Deliver the scheduled event of a rule, or of a function's rule, now.

        Raises:
            KeyError: There is no such schedule.
        """
        self._schedules.run(rule_or_function)

    def _await_quiet(self, until: float) -> None:
        pause = threading.Event()
        while not self._delivery.idle:
            if time.monotonic() >= until:
                raise TimeoutError("asynchronous deliveries are still under way")
            pause.wait(0.005)

    def _start(self) -> None:
        if not (self._runtime_dir / "awslambdaric").is_dir():
            raise FileNotFoundError(f"no awslambdaric in {self._runtime_dir}")
        self._stack.enter_context(exclusive.claim("an emulated cloud"))
        _quiet_loggers()
        self._make_dirs()
        self._lock = threading.RLock()
        self._stack.callback(self._reset_moto)
        self._reset_moto()
        self._assemble()
        if self._attached is not None:
            self._stack.callback(self._attached.stop)
            self._attached.start()
        for part in (self._moto, self._gateway, self._delivery, self._streams, self._schedules):
            self._stack.callback(part.stop)
            part.start()
        # Ended first: whoever waits for a function then stops waiting.
        self._stack.callback(self.functions.stop)

    def _make_dirs(self) -> None:
        if not self._run_dir.exists():
            self._stack.callback(shutil.rmtree, self._run_dir, ignore_errors=True)
        for name in ("code", "logs", "tmp"):
            (self._run_dir / name).mkdir(parents=True, exist_ok=True)
            self._stack.callback(shutil.rmtree, self._run_dir / name, ignore_errors=True)

    def _assemble(self) -> None:
        patches = Patches()
        self._stack.callback(patches.undo)
        self._delivery = AsyncDelivery(self.functions)
        self._moto = MotoServer(self._lock)
        apis = RestApis()
        self._gateway = Gateway(apis, self.functions, self._gateway_timeout, self._throttling)
        service = LambdaService(
            self.functions,
            self._delivery,
            self._make_function,
            self._run_dir / "code",
            self._concurrency,
        )
        self._streams = StreamDelivery(
            self.functions,
            self._lock,
            self._stream_endpoint,
            REGION,
        )
        self._schedules = Schedules(self._delivery, self._lock)
        tags = ApiTags(self._lock)
        self._moto.interceptors += [service.intercept, service.tell_settings, tags.intercept]
        for part in (apis, service, self._streams, self._throttling):
            part.install(patches)
        close_gaps(patches)
        if self._engines is not None:
            self._attached = AttachedEngines(self._engines, self._moto, self._lock, REGION)
            self._attached.install(patches)

    def _stream_endpoint(self) -> str:
        return self._attached.dynamodb.url if self._attached else self.endpoint_url

    def _make_function(self, spec: FunctionSpec) -> Function:
        log = self._run_dir / "logs" / f"{spec.name}.log"

        def spawn(current: FunctionSpec) -> Worker:
            return Worker(current, self._environ_of(current), self._runtime_dir, log)

        return Function(spec, spawn, self._workers, log)

    def _environ_of(self, spec: FunctionSpec) -> dict[str, str]:
        scratch = self._run_dir / "tmp"
        return {
            **spec.environment,
            **self.environ,
            "AWS_REGION": spec.region,
            "AWS_DEFAULT_REGION": spec.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
            "AWS_LAMBDA_FUNCTION_NAME": spec.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "emulated",
            "LAMBDA_TASK_ROOT": str(spec.code_dir),
            "LAMBDA_RUNTIME_DIR": str(self._runtime_dir),
            "_HANDLER": spec.handler,
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": str(scratch),
            "TZ": "UTC",
        }

    @staticmethod
    def _reset_moto() -> None:
        moto_api_backend.reset()


def _quiet_loggers() -> None:
    for name in ("werkzeug", "moto"):
        logging.getLogger(name).setLevel(logging.ERROR)
