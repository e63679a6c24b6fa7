"""Presigned uploads, attacked on SeaweedFS: only what was announced gets in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from chalicelib.store.artifact_bucket import ArtifactAddress, UploadForm
from infra.local_stack import LocalStack
from tests.e2e.stack.aws_requests import AwsRequest, watching
from tests.e2e.stack.calls import Calls, until
from tests.engines.presigned import (
    TYPE,
    Artifact,
    Store,
    checksum,
    code_of,
    get,
    nothing_changes,
    send,
    with_policy,
)

SIZE = 5_000
OTHER = secrets.token_bytes(SIZE)
Attack = Callable[[Artifact], httpx.Response]


@pytest.fixture(scope="module")
def store(stack: LocalStack) -> Store:
    """The stage's bucket."""
    return Store(stack)


@pytest.fixture(scope="module")
def pending(stack: LocalStack) -> Iterator[Artifact]:
    """An artifact that was announced, and what every attack would like to put in its place."""
    with httpx.Client(timeout=60, trust_env=False) as http:
        calls = Calls(stack, http, set())
        yield Artifact.announce(calls, calls.online(), secrets.token_bytes(SIZE))


def fields(**changed: str) -> Attack:
    """The announced content, with other fields (`_` stands for a hyphen)."""
    named = {name.replace("_", "-"): value for name, value in changed.items()}
    return lambda artifact: send(artifact.form, artifact.content, **named)


def of_fields(change: Callable[[dict[str, str]], dict[str, str]]) -> Attack:
    """The announced content, with fields that follow from the right ones."""
    return lambda artifact: send(artifact.form, artifact.content, **change(artifact.form.fields))


def content(change: Callable[[bytes], bytes], **changed: str) -> Attack:
    """Another content, with the right form."""
    return lambda artifact: send(artifact.form, change(artifact.content), **changed)


def without(*names: str) -> Attack:
    """The announced content, with fields left out."""
    return lambda artifact: send(artifact.form, artifact.content, without=names)


def policy(**changed: Any) -> Attack:
    """A policy that was rewritten, under the signature of the right one."""
    return lambda artifact: send(
        artifact.form, artifact.content, **with_policy(artifact.form, **changed)
    )


def _flipped(found: dict[str, str]) -> dict[str, str]:
    signature = found["x-amz-signature"]
    return {"x-amz-signature": ("1" if signature[0] == "0" else "0") + signature[1:]}


def _credential(old: str, new: str) -> Attack:
    name = "x-amz-credential"
    return of_fields(lambda found: {name: found[name].replace(old, new, 1)})


def _key(change: Callable[[str], str]) -> Attack:
    return of_fields(lambda found: {"key": change(found["key"])})


def _elsewhere(part: int, name: str) -> Attack:
    def change(key: str) -> str:
        parts = key.split("/")
        parts[part] = name
        return "/".join(parts)

    return _key(change)


def _into_another_bucket(artifact: Artifact) -> httpx.Response:
    url = artifact.form.url.rpartition("/")[0] + "/another-bucket"
    return send(artifact.form, artifact.content, url=url)


def _as_put(artifact: Artifact) -> httpx.Response:
    return get(f"{artifact.form.url}/{artifact.incoming}", "PUT", content=artifact.content)


def _straight_to_what_is_kept(artifact: Artifact) -> httpx.Response:
    return get(f"{artifact.form.url}/{artifact.kept}", "PUT", content=artifact.content)


FAR = "2099-01-01T00:00:00Z"
DENIED, FORGED = (403, "AccessDenied"), (403, "SignatureDoesNotMatch")
ATTACKS: dict[str, tuple[Attack, tuple[int, str]]] = {
    "wrong signature": (of_fields(_flipped), FORGED),
    "empty signature": (fields(x_amz_signature=""), FORGED),
    "no signature": (without("x-amz-signature"), FORGED),
    "signature of other fields": (fields(x_amz_signature="0" * 64), FORGED),
    "policy that ends later": (policy(expiration=FAR), FORGED),
    "policy of anything": (policy(conditions=[]), FORGED),
    "policy cut short": (of_fields(lambda f: {"policy": f["policy"][:-8]}), FORGED),
    "no policy": (without("policy"), FORGED),
    "unknown access key": (_credential("emulated", "somebody"), (403, "InvalidAccessKeyId")),
    "another day's credential": (_credential("/20", "/19"), FORGED),
    "another region's credential": (_credential("eu-central-1", "us-east-1"), FORGED),
    "no credential": (without("x-amz-credential"), (400, "AuthorizationQueryParametersError")),
    "another date": (fields(x_amz_date="20990101T000000Z"), DENIED),
    "another algorithm": (fields(x_amz_algorithm="AWS4-HMAC-SHA1"), DENIED),
    "another tenant's key": (_elsewhere(1, "org_" + "0" * 20), DENIED),
    "another agent's key": (_elsewhere(2, "agt_" + "0" * 20), DENIED),
    "another artifact's key": (_elsewhere(3, "art_" + "0" * 20), DENIED),
    "key of what is kept": (_elsewhere(0, "artifacts"), DENIED),
    "key of the deploy state": (fields(key="deploy-state/dev.json"), DENIED),
    "key with more": (_key(lambda key: key + "/more"), DENIED),
    "key with the file's name": (_key(lambda key: key + "${filename}"), DENIED),
    "key that climbs": (_key(lambda key: key + "/../more"), (400, "InvalidRequest")),
    "no key": (without("key"), (400, "InvalidRequest")),
    "another bucket": (_into_another_bucket, DENIED),
    "one byte less": (content(lambda right: right[:-1]), (400, "EntityTooSmall")),
    "one byte more": (content(lambda right: right + b"x"), (400, "EntityTooLarge")),
    "nothing": (content(lambda _: b""), (400, "EntityTooSmall")),
    "a thousand times as much": (content(lambda right: right * 1000), (400, "EntityTooLarge")),
    "another length in the policy": (
        policy(conditions=[["content-length-range", 0, 2**40]]),
        FORGED,
    ),
    "another type": (fields(Content_Type="text/html"), DENIED),
    "no type": (without("Content-Type"), DENIED),
    "another checksum": (fields(x_amz_checksum_sha256=checksum(OTHER)), DENIED),
    "another content": (content(lambda _: OTHER), (400, "BadDigest")),
    "another content with its checksum": (
        content(lambda _: OTHER, **{"x-amz-checksum-sha256": checksum(OTHER)}),
        DENIED,
    ),
    "another checksum algorithm": (fields(x_amz_checksum_algorithm="CRC32"), DENIED),
    "no checksum": (without("x-amz-checksum-sha256", "x-amz-checksum-algorithm"), DENIED),
    "a second checksum": (fields(x_amz_checksum_crc32="AAAAAA=="), DENIED),
    "metadata": (fields(x_amz_meta_name="value"), DENIED),
    "encryption of its own": (fields(x_amz_server_side_encryption="AES256"), DENIED),
    "another storage class": (fields(x_amz_storage_class="STANDARD_IA"), DENIED),
    "a PUT without the form": (_as_put, DENIED),
    "a PUT to what is kept": (_straight_to_what_is_kept, DENIED),
}


@pytest.mark.parametrize(
    ("attack", "refused"), ATTACKS.values(), ids=[name.replace(" ", "-") for name in ATTACKS]
)
def test_an_upload_of_anything_else_is_refused(
    store: Store, pending: Artifact, attack: Attack, refused: tuple[int, str]
) -> None:
    with nothing_changes(store, pending):
        answer = attack(pending)
        assert (answer.status_code, code_of(answer)) == refused
    assert pending.row["status"] == "pending"


def test_a_form_is_refused_once_it_has_expired(store: Store, pending: Artifact) -> None:
    address = ArtifactAddress.of_incoming(pending.incoming)
    assert address is not None
    right = {"size": SIZE, "sha256": pending.row["sha256"], "content_type": TYPE}
    expired = store.product.upload_form(address, **right, seconds=-1)
    with nothing_changes(store, pending):
        answer = send(expired, pending.content)
        assert (answer.status_code, code_of(answer)) == DENIED
        assert "expired" in answer.text


def test_a_form_of_one_tenant_signs_nothing_for_another(
    store: Store, pending: Artifact, calls: Calls
) -> None:
    """Also with the fields of both mixed: a policy and its signature belong together."""
    theirs = Artifact.announce(calls, calls.online(), secrets.token_bytes(SIZE))
    mixed: list[UploadForm] = [
        replace(theirs.form, fields={**theirs.form.fields, name: pending.form.fields[name]})
        for name in ("policy", "x-amz-signature", "key")
    ]
    with nothing_changes(store, pending, theirs):
        refused = [send(form, theirs.content) for form in mixed]
        assert {answer.status_code for answer in refused} == {403}


def test_what_was_announced_gets_in(store: Store, calls: Calls) -> None:
    artifact = Artifact.announce(calls, calls.online(), secrets.token_bytes(SIZE))
    artifact.store()
    store._stack.cloud.wait_idle()
    found = store.head(artifact.kept)
    assert (found["ContentLength"], found["ChecksumSHA256"]) == (SIZE, checksum(artifact.content))
    assert artifact.incoming not in store.objects()
    assert get(artifact.url).content == artifact.content


UNSIGNED = {
    "acl": "public-read",
    "tagging": "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    "Cache-Control": "public, max-age=31536000",
    "Content-Disposition": "inline",
    "Content-Encoding": "gzip",
    "Expires": "Fri, 01 Jan 2099 00:00:00 GMT",
}


def test_fields_that_were_never_signed_leave_no_trace_on_what_is_kept(
    store: Store, calls: Calls
) -> None:
    """S3 refuses a form with a field that its policy does not name; SeaweedFS takes these."""
    artifact = Artifact.announce(calls, calls.online(), secrets.token_bytes(SIZE))
    assert send(artifact.form, artifact.content, **UNSIGNED).status_code == 204
    until(lambda: artifact.row["status"] == "stored", "the artifact is stored")
    found = store.head(artifact.kept)
    traces = {"CacheControl", "ContentDisposition", "ContentEncoding", "Expires", "ExpiresString"}
    assert not traces & found.keys()
    assert found["Metadata"] == {}
    assert store.s3.get_object_tagging(Bucket=store.name, Key=artifact.kept)["TagSet"] == []
    assert get(f"{artifact.form.url}/{artifact.kept}").status_code == 403
    answer = get(artifact.url)
    assert answer.content == artifact.content
    assert answer.headers["content-disposition"].startswith("attachment")


def test_a_repeated_upload_of_the_same_bytes_changes_nothing(store: Store, calls: Calls) -> None:
    artifact = Artifact.announce(calls, calls.online(), secrets.token_bytes(SIZE))
    artifact.store()
    written: list[str] = []

    def look(request: AwsRequest) -> None:
        if request.method == "PUT" and artifact.kept in request.path:
            written.append(request.path)

    with nothing_changes(store, artifact), watching(calls.stack.cloud, look):
        for _ in range(3):
            assert send(artifact.form, artifact.content).status_code == 204
            calls.stack.cloud.wait_idle()
    assert written == []
    assert [entry.split()[1] for entry in artifact.trail] == [
        "artifact.requested",
        "artifact.stored",
    ]
    assert get(artifact.url).content == artifact.content


def test_uploads_of_the_same_bytes_at_once_are_one_artifact(store: Store, calls: Calls) -> None:
    artifact = Artifact.announce(calls, calls.online(), secrets.token_bytes(SIZE))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(artifact.form, artifact.content), range(8)))
    assert {answer.status_code for answer in answers} == {204}
    until(lambda: artifact.row["status"] == "stored", "the artifact is stored")
    calls.stack.cloud.wait_idle()
    assert [entry.split()[1] for entry in artifact.trail] == [
        "artifact.requested",
        "artifact.stored",
    ]
    assert artifact.incoming not in store.objects()
    assert store.head(artifact.kept)["ChecksumSHA256"] == checksum(artifact.content)
