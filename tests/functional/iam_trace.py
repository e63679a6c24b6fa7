"""Which permissions the code really uses: every AWS request of a process, as IAM would see it."""

import fnmatch
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib.runtime import Runtime
from chalicelib.store.connection import connection
from infra.project import render_policy

ACCOUNT, REGION = "123456789012", "eu-central-1"
CHALICE = Path(__file__).parents[2] / ".chalice"
Use = tuple[str, str]
"""An action and the ARN it is used on."""


@dataclass
class Trace:
    """The uses of each function; `function` says whose code runs at the moment."""

    uses: dict[str, set[Use]] = field(default_factory=dict)
    function: str = "api_handler"

    def note(self, action: str, arn: str) -> None:
        """Remember one use."""
        self.uses.setdefault(self.function, set()).add((action, arn))

    @contextmanager
    def running(self, function: str) -> Iterator[None]:
        """Everything within is done by another function."""
        before, self.function = self.function, function
        try:
            yield
        finally:
            self.function = before

    def on_dynamodb(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        """botocore's event before a request to DynamoDB."""
        body = json.loads(params["body"])
        if model.name == "TransactWriteItems":
            for item in body["TransactItems"]:
                ((kind, arguments),) = item.items()
                action = "ConditionCheckItem" if kind == "ConditionCheck" else f"{kind}Item"
                self.note(f"dynamodb:{action}", _table(arguments["TableName"]))
        elif model.name == "BatchGetItem":
            for name in body["RequestItems"]:
                self.note("dynamodb:BatchGetItem", _table(name))
        else:
            arn = _table(body["TableName"])
            if index := body.get("IndexName"):
                arn += f"/index/{index}"
            self.note(f"dynamodb:{model.name}", arn)

    def on_other(self, model: Any, params: dict[str, Any], context: Any, **_: Any) -> None:
        """botocore's event before a request to any other service."""
        service = model.service_model.service_name
        if service == "s3":
            self._on_s3(model.name, context["input_params"], params["headers"])
        elif service == "secretsmanager":
            self.note("secretsmanager:GetSecretValue", json.loads(params["body"])["SecretId"])
        elif service == "events":
            for entry in json.loads(params["body"])["Entries"]:
                bus = entry["EventBusName"]
                self.note("events:PutEvents", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}")
        elif service == "kms":
            self.note(f"kms:{model.name}", json.loads(params["body"])["KeyId"])
        elif service == "sqs":
            queue = json.loads(params["body"])["QueueUrl"].rsplit("/", 1)[1]
            self.note(f"sqs:{model.name}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")
        else:
            raise AssertionError(f"a service that nobody expected: {service}")

    def _on_s3(self, operation: str, asked: dict[str, Any], headers: dict[str, str]) -> None:
        bucket = f"arn:aws:s3:::{asked['Bucket']}"
        if operation == "ListObjectsV2":
            self.note("s3:ListBucket", bucket)
            return
        arn = f"{bucket}/{asked['Key']}"
        if operation == "HeadObject":
            self.note("s3:GetObject", arn)
            # Without this one S3 answers 403 for an object that is not there.
            self.note("s3:ListBucket", bucket)
        elif operation == "CopyObject":
            self.note("s3:GetObject", f"arn:aws:s3:::{headers['x-amz-copy-source']}")
            self.note("s3:PutObject", arn)
        elif operation == "PutObject" and "x-amz-object-lock-mode" in headers:
            self.note("s3:PutObject", arn)
            self.note("s3:PutObjectRetention", arn)
        else:
            self.note(f"s3:{operation}", arn)


def _table(name: str) -> str:
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"


class TracedRuntime(Runtime):
    """A runtime whose clients are watched."""

    trace: Trace

    def _client(self, service: str, *seconds: int) -> Any:
        client = super()._client(service, *seconds)
        client.meta.events.register_first("before-call", self.trace.on_other)
        return client


@contextmanager
def traced(runtime: TracedRuntime) -> Iterator[Trace]:
    """Watch every request while open."""
    runtime.trace = trace = Trace()
    events = connection().client.meta.events
    events.register_first("before-call.dynamodb", trace.on_dynamodb)
    try:
        yield trace
    finally:
        events.unregister("before-call.dynamodb", trace.on_dynamodb)


@dataclass(frozen=True)
class Grant:
    """One action on one resource pattern of a policy."""

    action: str
    resource: str

    def covers(self, use: Use) -> bool:
        """Whether it allows a use."""
        return self.action == use[0] and fnmatch.fnmatchcase(use[1], self.resource)


def grants_of(function: str, outputs: dict[str, str], stage: str) -> list[Grant]:
    """What the policy of a function allows, rendered as the deployer does."""
    values = {
        **outputs,
        "Stage": stage,
        "Account": ACCOUNT,
        "Region": REGION,
        "Partition": "aws",
    }
    text = (CHALICE / f"policy-{function}.json").read_text("utf-8")
    return [
        Grant(action, resource)
        for statement in render_policy(function, text, values)["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    ]
