"""Artifacts past the function: presigned, verified, and never what was not announced."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import httpx
import pytest

from infra.engines import chosen
from infra.local_stack import LocalStack
from tests.e2e.stack.aws_requests import AwsRequest, watching
from tests.e2e.stack.calls import Calls, Host, until

SIZE = 200_000
TYPE = "application/gzip"


def announced(content: bytes, **changed: Any) -> dict[str, Any]:
    return {
        "kind": "incident_bundle",
        "filename": "bundle.tar.gz",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "content_type": TYPE,
        **changed,
    }


def announce(calls: Calls, host: Host, content: bytes) -> dict[str, Any]:
    answer = calls.send("POST", host.path("artifacts"), announced(content), credential=host.key)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def upload(form: dict[str, Any], content: bytes, **changed: str) -> httpx.Response:
    fields = {**form["fields"], **changed}
    return httpx.post(form["url"], data=fields, files={"file": ("f", content)}, trust_env=False)


def status_of(calls: Calls, host: Host, artifact: str) -> str:
    answer = calls.send("GET", host.path(f"artifacts/{artifact}"), credential=host.key)
    return str(answer.json()["status"])


def test_the_store_refuses_everything_but_what_was_announced(
    stack: LocalStack, calls: Calls
) -> None:
    host = calls.online()
    content = secrets.token_bytes(SIZE)
    made = announce(calls, host, content)
    form, artifact = made["upload"], made["artifact_id"]
    other = calls.online()
    elsewhere = form["fields"]["key"].replace(host.id, other.id)
    refused = [
        upload(form, content[:-1]),
        upload(form, content + b"x"),
        upload(form, secrets.token_bytes(SIZE)),
        upload(form, content, **{"Content-Type": "text/html"}),
        upload(form, content, **{"x-amz-checksum-sha256": "A" * 43 + "="}),
        upload(form, content, key=elsewhere),
        upload(form, content, key="artifacts/" + form["fields"]["key"].partition("/")[2]),
        upload(form, content, **{"x-amz-meta-owner": "somebody"}),
        upload(form, content, policy=form["fields"]["policy"][:-8]),
    ]
    if not chosen():  # S3 refuses it; SeaweedFS takes no notice of it
        refused.append(upload(form, content, acl="public-read"))
    assert [answer.status_code for answer in refused if answer.status_code < 400] == []
    stack.cloud.wait_idle()
    assert status_of(calls, host, artifact) == "pending"
    assert objects(stack, host.id) == []

    assert upload(form, content).status_code == 204
    until(lambda: status_of(calls, host, artifact) == "stored", "the artifact is stored")
    again = calls.send("POST", host.path("artifacts"), announced(content), credential=host.key)
    assert (again.status_code, again.json()["deduplicated"]) == (200, True)
    stranger = calls.send("POST", other.path("artifacts"), announced(content), credential=other.key)
    assert (stranger.status_code, stranger.json()["deduplicated"]) == (201, False)


def objects(stack: LocalStack, agent_id: str) -> list[str]:
    s3 = stack.target.client("s3")
    listed = s3.list_objects_v2(Bucket=stack.outputs["BucketName"]).get("Contents", [])
    return sorted(entry["Key"] for entry in listed if agent_id in entry["Key"])


@pytest.mark.parametrize("with_checksum", [True, False])
def test_an_upload_that_came_another_way_with_other_content_is_never_stored(
    stack: LocalStack, calls: Calls, *, with_checksum: bool
) -> None:
    host = calls.online()
    content = secrets.token_bytes(SIZE)
    made = announce(calls, host, content)
    extra = {"ChecksumAlgorithm": "SHA256"} if with_checksum else {}
    stack.target.client("s3").put_object(
        Bucket=stack.outputs["BucketName"],
        Key=made["upload"]["fields"]["key"],
        Body=secrets.token_bytes(SIZE),
        ContentType=TYPE,
        **extra,
    )
    artifact = made["artifact_id"]
    until(lambda: status_of(calls, host, artifact) == "rejected", "it is rejected")
    stack.cloud.wait_idle()
    assert objects(stack, host.id) == []
    operator = calls.operator("GET", host.path(f"artifacts/{artifact}/download"))
    assert (operator.status_code, operator.json()["code"]) == (404, "artifact_not_stored")
    # The agent may announce the same content anew, and this time it arrives.
    anew = announce(calls, host, content)
    assert anew["artifact_id"] == artifact
    assert upload(anew["upload"], content).status_code == 204
    until(lambda: status_of(calls, host, artifact) == "stored", "the artifact is stored")


def test_a_late_upload_cannot_replace_what_is_stored(stack: LocalStack, calls: Calls) -> None:
    host = calls.online()
    content = secrets.token_bytes(SIZE)
    made = announce(calls, host, content)
    for _ in range(3):
        assert upload(made["upload"], content).status_code == 204
    artifact = made["artifact_id"]
    until(lambda: status_of(calls, host, artifact) == "stored", "the artifact is stored")
    stack.target.client("s3").put_object(
        Bucket=stack.outputs["BucketName"],
        Key=made["upload"]["fields"]["key"],
        Body=secrets.token_bytes(SIZE),
        ContentType=TYPE,
    )
    stack.cloud.wait_idle()
    kept = f"artifacts/{stack.organization}/{host.id}/{artifact}"
    assert objects(stack, host.id) == [kept]
    url = calls.operator("GET", host.path(f"artifacts/{artifact}/download")).json()["url"]
    assert httpx.get(url, trust_env=False).content == content


def test_the_bytes_never_pass_through_a_function(stack: LocalStack, calls: Calls) -> None:
    host = calls.online()
    content = secrets.token_bytes(SIZE)
    bucket = stack.outputs["BucketName"]
    moved: list[tuple[str, int]] = []

    def look(request: AwsRequest) -> None:
        if request.path.startswith(f"/{bucket}"):
            moved.append((request.method, len(request.body)))

    with watching(stack.cloud, look):
        made = announce(calls, host, content)
        assert upload(made["upload"], content).status_code == 204
        until(lambda: status_of(calls, host, made["artifact_id"]) == "stored", "it is stored")
        stack.cloud.wait_idle()
    assert [method for method, size in moved if size >= SIZE] == ["POST"]
    assert "GET" not in {method for method, _ in moved}
    assert all(size < 2_000 for method, size in moved if method != "POST")
