"""What is stored in SeaweedFS, told to the functions that want to know, as S3 does."""

from __future__ import annotations

import logging
import re
import urllib.parse
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.s3.models import s3_backends
from moto.s3.notifications import S3NotificationEvent, send_event

from infra.emulator.http_server import Answer
from infra.emulator.patches import MotoObject
from infra.emulator.wire import Head
from infra.engines.seaweedfs import ACCESS_KEY, SECRET_KEY

_FORM_KEY = re.compile(rb'name="?key"?\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]+)', re.IGNORECASE)
_SUCCESS = range(200, 300)
_log = logging.getLogger("rollcall.emulator")
# Sub-resources that configure a bucket. They stay with moto, whose CloudFormation and whose
# notifications they belong to.
CONFIGURATION = frozenset(
    {
        *("accelerate", "acl", "analytics", "cors", "encryption", "inventory", "lifecycle"),
        *("location", "logging", "metrics", "notification", "ownershipControls", "policy"),
        *("policyStatus", "publicAccessBlock", "replication", "requestPayment", "tagging"),
        *("versioning", "website", "object-lock"),
    }
)


@dataclass(frozen=True)
class _Stored:
    name: str
    size: int
    etag: str
    version_id: str | None = None


class Uploads:
    """Sees what SeaweedFS took, and sends S3's notifications through moto's configuration.

    Args:
        engine: SeaweedFS's URL.
        lock: moto's lock.
        region: for the signature.
    """

    def __init__(self, engine: str, lock: AbstractContextManager[Any], region: str) -> None:
        self._lock = lock
        session = boto3.session.Session(
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=region
        )
        config = Config(s3={"addressing_style": "path"}, proxies={})
        self._client = session.client("s3", endpoint_url=engine, config=config)

    def observe(self, head: Head, body: bytes, answer: Answer) -> None:
        """Look at one request that was answered."""
        event = _created(head) if answer[0] in _SUCCESS else None
        if event is None:
            return
        bucket, key = _place(head, body)
        if not key:
            return
        try:
            found = self._client.head_object(Bucket=bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            _log.warning("nobody is told of %s: %s", key, error)  # it may be gone again by now
            return
        stored = _Stored(key, found["ContentLength"], found["ETag"])
        with self._lock:
            for account, name in _owners(bucket):
                send_event(account, event, name, stored)


def configures(method: str, path: str, query: str) -> bool:
    """Whether a request is about a bucket, not about what is in it."""
    if path.strip("/").count("/"):
        return False
    if not query:
        return method in {"PUT", "DELETE"}  # its beginning and its end, which the mirror follows
    return any(name in CONFIGURATION for name, _ in urllib.parse.parse_qsl(query, True))


def _created(head: Head) -> S3NotificationEvent | None:
    query = dict(urllib.parse.parse_qsl(head.target.partition("?")[2], True))
    if head.method == "PUT" and not {"partNumber", "tagging", "acl"} & query.keys():
        if head.get("x-amz-copy-source"):
            return S3NotificationEvent.OBJECT_CREATED_COPY_EVENT
        return S3NotificationEvent.OBJECT_CREATED_PUT_EVENT
    if head.method == "POST" and "uploadId" in query:
        return S3NotificationEvent.OBJECT_CREATED_COMPLETE_MULTIPART_UPLOAD_EVENT
    if head.method == "POST" and not query:
        return S3NotificationEvent.OBJECT_CREATED_POST_EVENT
    return None


def _place(head: Head, body: bytes) -> tuple[str, str]:
    path = urllib.parse.unquote(head.target.partition("?")[0]).lstrip("/")
    bucket, _, key = path.partition("/")
    if not key and head.method == "POST" and (found := _FORM_KEY.search(body)):
        key = found[1].decode("utf-8", "replace")
    return bucket, key


def _owners(bucket: str) -> list[tuple[str, MotoObject]]:
    return [
        (account, backend.buckets[bucket])
        for account, partitions in s3_backends.items()
        for backend in partitions.values()
        if bucket in backend.buckets
    ]
