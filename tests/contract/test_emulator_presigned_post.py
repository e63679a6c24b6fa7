"""The bucket takes a presigned POST only as its policy allows."""

import base64
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest

from infra.emulator.cloud import EmulatedCloud

BODY = b"\x00\xffcontent"
SHA256 = base64.b64encode(hashlib.sha256(BODY).digest()).decode()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with EmulatedCloud(tmp_path_factory.mktemp("posts") / "run") as cloud:
        client = boto3.client(
            "s3",
            endpoint_url=cloud.endpoint_url,
            region_name="eu-central-1",
            aws_access_key_id="emulated",
            aws_secret_access_key="emulated",
            aws_session_token="emulated",
        )
        location: Any = {"LocationConstraint": "eu-central-1"}
        client.create_bucket(Bucket="drop", CreateBucketConfiguration=location)
        yield client


def presign(s3: Any, key: str, expires: int = 60) -> dict[str, Any]:
    fields = {
        "Content-Type": "application/zip",
        "x-amz-checksum-sha256": SHA256,
        "x-amz-checksum-algorithm": "SHA256",
        "x-amz-meta-kind": "snapshot",
    }
    conditions = [{name: value} for name, value in fields.items()]
    conditions.append(["content-length-range", len(BODY), len(BODY)])  # type: ignore[arg-type]
    post: dict[str, Any] = s3.generate_presigned_post(
        "drop", key, Fields=fields, Conditions=conditions, ExpiresIn=expires
    )
    return post


def send(post: dict[str, Any], body: bytes = BODY, **changes: Any) -> httpx.Response:
    fields = {**post["fields"], **{name.replace("_", "-"): v for name, v in changes.items()}}
    data = {name: value for name, value in fields.items() if value is not None}
    return httpx.post(post["url"], data=data, files={"file": ("f", body)}, trust_env=False)


def test_an_upload_as_agreed_is_stored_with_its_checksum(s3: Any) -> None:
    answer = send(presign(s3, "in/good"))
    assert answer.status_code == 204, answer.text
    head = s3.head_object(Bucket="drop", Key="in/good", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == SHA256
    assert head["ContentLength"] == len(BODY)
    assert head["ContentType"] == "application/zip"
    assert head["Metadata"] == {"kind": "snapshot"}
    assert s3.get_object(Bucket="drop", Key="in/good")["Body"].read() == BODY
    s3.copy_object(Bucket="drop", Key="kept", CopySource={"Bucket": "drop", "Key": "in/good"})
    copied = s3.head_object(Bucket="drop", Key="kept", ChecksumMode="ENABLED")
    assert copied["ChecksumSHA256"] == SHA256


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"key": "elsewhere"}, 403, "AccessDenied"),
        ({"Content_Type": "text/html"}, 403, "AccessDenied"),
        ({"Content_Type": None}, 403, "AccessDenied"),
        ({"x_amz_checksum_sha256": SHA256[::-1]}, 403, "AccessDenied"),
        ({"x_amz_meta_extra": "1"}, 403, "AccessDenied"),
        ({"policy": "bm90IGpzb24="}, 400, "InvalidPolicyDocument"),
        ({"policy": None}, 403, "AccessDenied"),
    ],
)
def test_a_form_that_differs_from_the_policy_is_refused(
    s3: Any, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = send(presign(s3, "in/bad"), **changes)
    assert answer.status_code == status
    assert f"<Code>{code}</Code>" in answer.text
    assert "in/bad" not in {one["Key"] for one in s3.list_objects_v2(Bucket="drop")["Contents"]}


def test_sizes_are_exact(s3: Any) -> None:
    larger = send(presign(s3, "in/large"), BODY + b"1")
    assert (larger.status_code, "EntityTooLarge" in larger.text) == (400, True)
    smaller = send(presign(s3, "in/small"), BODY[:-1])
    assert (smaller.status_code, "EntityTooSmall" in smaller.text) == (400, True)


def test_other_bytes_of_the_same_size_are_refused(s3: Any) -> None:
    answer = send(presign(s3, "in/other"), os.urandom(len(BODY)))
    assert (answer.status_code, "BadDigest" in answer.text) == (400, True)


def test_an_expired_policy_is_refused(s3: Any) -> None:
    answer = send(presign(s3, "in/late", expires=-1))
    assert answer.status_code == 403
    assert "Invalid according to Policy: Policy expired." in answer.text


def test_bulk_deletion_still_works(s3: Any) -> None:
    s3.put_object(Bucket="drop", Key="gone", Body=b"1")
    answer = s3.delete_objects(Bucket="drop", Delete={"Objects": [{"Key": "gone"}]})
    assert [one["Key"] for one in answer["Deleted"]] == ["gone"]
