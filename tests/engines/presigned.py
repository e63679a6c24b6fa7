"""Artifacts as whoever holds a presigned form or address meets them, honest or not."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import urllib.parse
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import boto3
import httpx
from botocore.config import Config

from chalicelib.store.artifact_bucket import ArtifactBucket, UploadForm
from infra.engines.seaweedfs import ACCESS_KEY, SECRET_KEY
from infra.local_stack import LocalStack, bootstrap_child
from tests.e2e.stack.calls import Calls, Host, until

TYPE = "application/gzip"
FILENAME = "bundle.tar.gz"


def checksum(content: bytes) -> str:
    """SHA-256 as S3 writes it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def code_of(answer: httpx.Response) -> str | None:
    """The code of an error of S3's."""
    if not answer.content or answer.is_success:
        return None
    return ElementTree.fromstring(answer.content).findtext("Code")  # noqa: S314 - SeaweedFS's own


def send(
    form: UploadForm,
    content: bytes,
    *,
    without: Collection[str] = (),
    url: str | None = None,
    **changed: str,
) -> httpx.Response:
    """POST a form with its file; `changed` replaces fields or adds some."""
    fields = {
        name: value for name, value in {**form.fields, **changed}.items() if name not in without
    }
    # An upload of five megabytes where five kilobytes were signed ends before it was sent.
    return httpx.post(
        url or form.url, data=fields, files={"file": ("f", content)}, trust_env=False, timeout=60
    )


def with_policy(form: UploadForm, **changed: Any) -> dict[str, str]:
    """The field of a policy that somebody rewrote."""
    policy = {**json.loads(base64.b64decode(form.fields["policy"])), **changed}
    return {"policy": base64.b64encode(json.dumps(policy).encode()).decode()}


def changed_url(url: str, *, path: str | None = None, without: str = "", **query: str) -> str:
    """A presigned address with another path, or another query."""
    parts = urllib.parse.urlsplit(url)
    wanted = {**dict(urllib.parse.parse_qsl(parts.query)), **query}
    wanted.pop(without, None)
    return urllib.parse.urlunsplit(
        parts._replace(
            path=path or parts.path,
            query=urllib.parse.urlencode(wanted, quote_via=urllib.parse.quote),
        )
    )


def get(url: str, method: str = "GET", **more: Any) -> httpx.Response:
    """One request to a presigned address, or to what somebody made of it."""
    return httpx.request(method, url, trust_env=False, timeout=60, **more)


@dataclass(frozen=True)
class Artifact:
    """An announced artifact, with the form that was handed out for it."""

    calls: Calls
    host: Host
    id: str
    content: bytes
    form: UploadForm

    @classmethod
    def announce(cls, calls: Calls, host: Host, content: bytes) -> Artifact:
        """Announce a content; whoever announces it again gets the same artifact."""
        wish = {
            "kind": "incident_bundle",
            "filename": FILENAME,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "content_type": TYPE,
        }
        answer = calls.send("POST", host.path("artifacts"), wish, credential=host.key)
        assert answer.status_code == 201, answer.text
        upload = answer.json()["upload"]
        form = UploadForm(upload["url"], upload["fields"])
        return cls(calls, host, answer.json()["artifact_id"], content, form)

    @property
    def incoming(self) -> str:
        """The key where it lands."""
        return self.form.fields["key"]

    @property
    def kept(self) -> str:
        """The key where it stays."""
        return "artifacts/" + self.incoming.partition("/")[2]

    def store(self) -> None:
        """Upload it as it was announced, and wait for the verdict."""
        assert send(self.form, self.content).status_code == 204
        until(lambda: self.row["status"] == "stored", "the artifact is stored")

    @property
    def row(self) -> dict[str, Any]:
        """What its tenant's operator sees."""
        answer = self.calls.operator("GET", self.host.path(f"artifacts/{self.id}"))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    @property
    def url(self) -> str:
        """A fresh presigned download."""
        answer = self.calls.operator("GET", self.host.path(f"artifacts/{self.id}/download"))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["url"])

    @property
    def trail(self) -> list[str]:
        """Its audit trail: identifiers and events."""
        wanted = f"/audit-records?resource_type=artifact&resource_id={self.id}&order=oldest"
        records = self.calls.operator("GET", wanted).json()["audit_records"]
        return [f"{record['id']} {record['event']}" for record in records]


class Store:
    """The bucket as its owner sees it.

    Args:
        stack: the stage.
    """

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self.name: str = stack.outputs["BucketName"]
        self.s3: Any = stack.target.client("s3")

    @cached_property
    def product(self) -> ArtifactBucket:
        """The product's own signer, for forms and addresses of a chosen lifetime."""
        client = boto3.client(
            "s3",
            endpoint_url=self._stack.target.endpoint("s3"),
            region_name=self._stack.target.region,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
        )
        return ArtifactBucket(client, self.name)

    def objects(self) -> dict[str, tuple[str, str]]:
        """Everything in it: when it was written, and its ETag."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {
            entry["Key"]: (str(entry["LastModified"]), entry["ETag"])
            for page in pages
            for entry in page.get("Contents", [])
        }

    def head(self, key: str) -> dict[str, Any]:
        """What is said of an object, with its content's headers only."""
        found = self.s3.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED")
        return {name: value for name, value in found.items() if name != "ResponseMetadata"}


@contextmanager
def another_tenant(calls: Calls, folder: Path) -> Iterator[Calls]:
    """A second organization on the same stage, and its operator."""
    stack = calls.stack
    admin = f"admin-{secrets.token_hex(4)}"  # a name is one person's in the whole stage
    made = bootstrap_child(stack.target, folder / "tenant.json", 1, lambda _: None, admin)
    with httpx.Client(timeout=60, trust_env=False) as http:
        yield Calls(LocalStack(stack.cloud, stack.target, stack.outputs, **made), http, set())


@contextmanager
def nothing_changes(store: Store, *artifacts: Artifact) -> Iterator[None]:
    """Neither an object, nor what operators see, nor the evidence may change in the block."""

    def look() -> tuple[Any, ...]:
        store._stack.cloud.wait_idle()
        return store.objects(), [(one.row, one.trail) for one in artifacts]

    before = look()
    yield
    assert look() == before
