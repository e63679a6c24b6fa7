"""Presigned downloads, attacked on SeaweedFS: an address opens one object, for some minutes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from chalicelib.store.artifact_bucket import ArtifactAddress
from infra.local_stack import LocalStack
from tests.e2e.stack.calls import Calls, Host, until
from tests.engines.presigned import (
    FILENAME,
    Artifact,
    Store,
    another_tenant,
    changed_url,
    code_of,
    get,
    nothing_changes,
)

Attack = Callable[[str, str], httpx.Response]
"""From an address and another object's key."""
FORGED = (403, "SignatureDoesNotMatch")
INLINE = {"response-content-disposition": "inline", "response-content-type": "text/html"}


@pytest.fixture(scope="module")
def store(stack: LocalStack) -> Store:
    """The stage's bucket."""
    return Store(stack)


@pytest.fixture(scope="module")
def ours(stack: LocalStack) -> Iterator[Artifact]:
    """A stored artifact, whose address its own operator was given."""
    with httpx.Client(timeout=60, trust_env=False) as http:
        calls = Calls(stack, http, set())
        artifact = Artifact.announce(calls, calls.online(), secrets.token_bytes(5_000))
        artifact.store()
        yield artifact


@pytest.fixture(scope="module")
def theirs(ours: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artifact]:
    """A stored artifact of another tenant."""
    folder: Path = tmp_path_factory.mktemp("tenant")
    with another_tenant(ours.calls, folder) as calls:
        artifact = Artifact.announce(calls, calls.online(), secrets.token_bytes(5_000))
        artifact.store()
        yield artifact


def _path(change: Callable[[str, str], str]) -> Attack:
    """Another path, from the right one and the other object's."""

    def attack(url: str, other: str) -> httpx.Response:
        bucket, _, key = httpx.URL(url).path.lstrip("/").partition("/")
        return get(changed_url(url, path=f"/{bucket}/{change(key, other)}"))

    return attack


def _query(**changed: str) -> Attack:
    named = {name.replace("_", "-"): value for name, value in changed.items()}
    return lambda url, _: get(changed_url(url, **named))


def _without(name: str) -> Attack:
    return lambda url, _: get(changed_url(url, without=name))


def _method(name: str) -> Attack:
    return lambda url, _: get(url, name, content=b"x" if name in {"PUT", "POST"} else None)


MALFORMED = (400, "InvalidRequest")
ATTACKS: dict[str, tuple[Attack, tuple[int, str | None]]] = {
    "another tenant's object": (_path(lambda _, other: other), FORGED),
    "another tenant's object by a climb": (_path(lambda key, other: f"{key}/../{other}"), FORGED),
    "the deploy state": (_path(lambda *_: "deploy-state/dev.json"), FORGED),
    "a list of the bucket": (_path(lambda *_: ""), FORGED),
    "what came in": (_path(lambda key, _: key.replace("artifacts/", "incoming/")), FORGED),
    "wrong signature": (_query(X_Amz_Signature="0" * 64), FORGED),
    "no signature": (_without("X-Amz-Signature"), (400, "MissingFields")),
    "a longer life": (_query(X_Amz_Expires="604800"), FORGED),
    "no end": (_without("X-Amz-Expires"), (400, "AuthorizationQueryParametersError")),
    "a later date": (_query(X_Amz_Date="20990101T000000Z"), FORGED),
    "no date": (_without("X-Amz-Date"), (400, "AccessDenied")),
    "no credential": (_without("X-Amz-Credential"), (403, "AccessDenied")),
    "another algorithm": (_query(X_Amz_Algorithm="AWS4-HMAC-SHA1"), MALFORMED),
    "no algorithm": (_without("X-Amz-Algorithm"), MALFORMED),
    "more signed headers": (_query(X_Amz_SignedHeaders="host;x-amz-acl"), FORGED),
    "shown and not saved": (_query(**INLINE), FORGED),
    "no disposition": (_without("response-content-disposition"), FORGED),
    "another version": (_query(versionId="null"), FORGED),
    "its access list": (_query(acl=""), FORGED),
    "its tags": (_query(tagging=""), FORGED),
    "PUT": (_method("PUT"), FORGED),
    "DELETE": (_method("DELETE"), FORGED),
    "POST": (_method("POST"), (405, "MethodNotAllowed")),
    "HEAD": (_method("HEAD"), (403, None)),
    "another host": (lambda url, _: get(url, headers={"Host": "other.example"}), FORGED),
    "no query at all": (lambda url, _: get(url.partition("?")[0]), (403, "AccessDenied")),
}


@pytest.mark.parametrize(
    ("attack", "refused"), ATTACKS.values(), ids=[name.replace(" ", "-") for name in ATTACKS]
)
def test_an_address_opens_nothing_else(
    store: Store,
    ours: Artifact,
    theirs: Artifact,
    attack: Attack,
    refused: tuple[int, str | None],
) -> None:
    with nothing_changes(store, ours, theirs):
        answer = attack(ours.url, theirs.kept)
        assert (answer.status_code, code_of(answer)) == refused
    assert theirs.content not in answer.content


def test_the_right_address_opens_its_object_and_a_browser_saves_it(ours: Artifact) -> None:
    for url in (ours.url, changed_url(ours.url)):
        answer = get(url)
        assert (answer.status_code, answer.content) == (200, ours.content)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{FILENAME}"


def test_an_address_is_refused_once_it_has_expired(store: Store, ours: Artifact) -> None:
    address = ArtifactAddress.of_incoming(ours.incoming)
    assert address is not None
    url = store.product.download_url(address, filename=FILENAME, seconds=4)
    assert get(url).content == ours.content
    until(lambda: get(url).status_code == 403, "the address has expired")
    assert code_of(get(url)) == "AccessDenied"


def test_nobody_is_given_an_address_of_another_tenants_object(
    ours: Artifact, theirs: Artifact
) -> None:
    known, unknown = ours.host, Host("agt_" + "0" * 20, "")
    for host, code in (
        (theirs.host, "agent_not_found"),
        (unknown, "agent_not_found"),
        (known, "artifact_not_found"),
    ):
        answer = ours.calls.operator("GET", host.path(f"artifacts/{theirs.id}/download"))
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    assert get(theirs.url).content == theirs.content
