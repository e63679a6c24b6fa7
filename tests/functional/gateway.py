"""Requests as API Gateway's proxy integration hands them to the function, however odd they are."""

import base64
import itertools
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.functional.api import Answer
from tests.functional.canaries import watch

# What a parser says to a programmer: a pattern, a type, a placeholder.
_NO_WORDS = re.compile(r"regex|\\[AZxdsw]|\[\^|Expected `|got `|required field|\{\}|object at 0x")
_numbers = itertools.count(1)


@dataclass
class Sent:
    """One raw request: nothing about it is made well-formed on the way."""

    method: str
    resource: str
    parameters: dict[str, str] = field(default_factory=dict)
    query: dict[str, list[str]] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    many_headers: dict[str, list[str]] | None = None
    body: str | None = None
    is_base64: bool = False
    request_id: str = field(default_factory=lambda: f"request-{next(_numbers)}")
    source_address: str = "192.0.2.7"

    def event(self) -> dict[str, Any]:
        path = self.resource
        for name, value in self.parameters.items():
            path = path.replace("{" + name + "}", value)
        return {
            "resource": self.resource,
            "path": path,
            "httpMethod": self.method,
            "headers": self.headers,
            "multiValueHeaders": self.many_headers,
            "multiValueQueryStringParameters": self.query,
            "pathParameters": self.parameters or None,
            "stageVariables": None,
            "requestContext": {
                "httpMethod": self.method,
                "resourcePath": self.resource,
                "path": f"/functional{path}",
                "domainName": "api.example",
                "requestId": self.request_id,
                "identity": {"sourceIp": self.source_address},
            },
            "body": self.body,
            "isBase64Encoded": self.is_base64,
        }


@dataclass
class RawAnswer(Answer):
    """An answer with the bytes that went over the wire."""

    text: str = ""
    request_id: str = ""


def send(request: Sent) -> RawAnswer:
    """Give a raw request to the app."""
    from app import app

    answered = app(request.event(), None)
    text = answered["body"]
    if answered.get("isBase64Encoded"):
        text = base64.b64decode(text).decode()
    watch.look_at_answer(request.method, request.event()["path"], f"{answered['headers']}{text}")
    headers = {name.lower(): value for name, value in answered["headers"].items()}
    # The install scripts and the manifest are for shells, and a redirect has no body.
    is_json = bool(text) and "json" in headers.get("content-type", "")
    body = json.loads(text) if is_json else None
    return RawAnswer(
        answered["statusCode"], headers, body, text=text, request_id=request.request_id
    )


def problem(answer: RawAnswer, status: int | None = None, code: str | None = None) -> None:
    """Check that an answer is a whole problem document, and no fault of ours."""
    assert 400 <= answer.status < 500, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.body
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
    assert body["status"] == answer.status
    assert body["type"] == f"urn:rollcall:error:{body['code']}"
    assert body["request_id"] == answer.request_id
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)
    assert ("retry-after" in answer.headers) == (answer.status == 429)
    assert len(answer.text) < 4096, "an answer does not echo what it was sent"
    for one in body.get("errors", []):
        assert not _NO_WORDS.search(one["message"]), one["message"]
    if status is not None:
        assert answer.status == status, answer.text[:500]
    if code is not None:
        assert answer.code == code, answer.text[:500]
