"""Functional tests: the Chalice app in this process, with the stack's own template.

Behind it is moto, or MiniStack and SeaweedFS with `make test ENGINES=real`.
"""

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from chalicelib.release_manifest import fingerprint
from infra.emulator.in_process import emulated_aws
from infra.engines import Engines, chosen, real_engines
from infra.release_key import public_key
from infra.target import Target
from tests.functional import canaries
from tests.functional.clock import FrozenClock
from tests.functional.streams import Queue, subscribed
from tests.process_environment import surrounded_by

if TYPE_CHECKING:
    from tests.functional.api import Api, Tenant

canaries.install()
TEMPLATE = Path(__file__).parents[2] / "infra" / "stack.yaml"
STAGE = "functional"


@pytest.fixture(scope="package")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines | None]:
    """What stands behind DynamoDB and S3 where `ENGINES=real` asks for more than moto."""
    if not chosen():
        yield None
        return
    # The tests' clock stands in the past: rows would expire in the middle of a test.
    with real_engines(tmp_path_factory.mktemp("engines"), expiry_pause=86_400) as running:
        yield running


@pytest.fixture(scope="package", autouse=True)
def stack(engines: Engines | None) -> Iterator[dict[str, str]]:
    """The stack, made from the template that `make deploy` uses."""
    with emulated_aws(engines):
        formation = boto3.client("cloudformation")
        formation.create_stack(
            StackName=f"rollcall-{STAGE}",
            TemplateBody=TEMPLATE.read_text("utf-8"),
            Parameters=[{"ParameterKey": "Stage", "ParameterValue": STAGE}],
        )
        described = formation.describe_stacks(StackName=f"rollcall-{STAGE}")["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        with surrounded_by(_aws() | _settings(outputs)):
            yield outputs


def _aws() -> dict[str, str]:
    """The emulated account, and which engines were chosen."""
    kept = (name for name in os.environ if name.startswith("AWS_") or name == "ROLLCALL_ENGINES")
    return {name: os.environ[name] for name in kept}


def _settings(outputs: dict[str, str]) -> dict[str, str]:
    """As the deployer gives them to the functions."""
    return {
        "ROLLCALL_STAGE": STAGE,
        "ROLLCALL_TABLE_PREFIX": outputs["TablePrefix"],
        "ROLLCALL_BUCKET": outputs["BucketName"],
        "ROLLCALL_EVENT_BUS": outputs["EventBusName"],
        "ROLLCALL_DEAD_LETTER_QUEUE_URL": outputs["DeadLetterQueueUrl"],
        "ROLLCALL_SIGNING_SECRET_ARN": outputs["SigningSecretArn"],
        "ROLLCALL_AUDIT_STREAM_ARN": outputs["AuditRecordsStreamArn"],
        "ROLLCALL_JOBS_STREAM_ARN": outputs["JobsStreamArn"],
        "ROLLCALL_SIGNING_KEY_ARN": outputs["SigningKeyArn"],
        "ROLLCALL_EVIDENCE_BUCKET": outputs["EvidenceBucketName"],
        "ROLLCALL_RELEASE_KEY_SHA256": fingerprint(public_key(Target(STAGE, os.environ), outputs)),
    }


@pytest.fixture(scope="module", autouse=True)
def _empty_tables(stack: dict[str, str]) -> None:
    """Each module begins with empty tables: moto copies whole tables for each transaction."""
    assert stack
    from tests.functional.world import empty_tables

    empty_tables()


@pytest.fixture(autouse=True)
def no_secret_gets_out() -> Iterator[None]:
    """No test's requests to AWS and no answer of the API hold a secret."""
    yield
    assert canaries.watch.take() == []


def pytest_collection_finish() -> None:
    """Let the collector pass over what lives until the end: thousands of tests, and moto's models.

    What a test leaves behind is found as before, only less often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that printed or logged a secret."""
    report = yield
    emitted = report.capstdout + report.capstderr + report.caplog
    if kinds := canaries.kinds_in(emitted):
        report.outcome = "failed"
        report.longrepr = f"the test emitted {', '.join(kinds)}"
        # What is shown of a failed test must not repeat it.
        report.sections = []
    return report


@pytest.fixture
def clock() -> FrozenClock:
    """Time stands still until a test moves it."""
    return FrozenClock()


@pytest.fixture
def api(stack: dict[str, str], clock: FrozenClock) -> Iterator["Api"]:
    """The app behind Chalice's test client, on the test's own clock."""
    assert stack
    from chalicelib import runtime
    from tests.functional.api import Api

    runtime.use(runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5))
    with Api(clock) as client:
        yield client
    runtime.use(None)


@pytest.fixture
def tenant(api: "Api") -> "Tenant":
    """A fresh organization with its operator key: tests share tables, never a tenant."""
    return api.new_tenant()


@pytest.fixture
def other_tenant(api: "Api") -> "Tenant":
    """Another organization."""
    return api.new_tenant()


@pytest.fixture
def bus(stack: dict[str, str]) -> Iterator[Queue]:
    """What the event bus delivers while a test runs."""
    with subscribed(stack["EventBusName"]) as queue:
        yield queue


@pytest.fixture
def letters(stack: dict[str, str]) -> Queue:
    """The dead-letter queue, empty at first."""
    queue = Queue(stack["DeadLetterQueueUrl"])
    queue.read()
    return queue
