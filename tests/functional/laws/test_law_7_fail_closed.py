"""Law 7: what is our fault is 503 with `Retry-After`, never 401; what is unknown is refused."""

import dataclasses
import io
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from pynamodb.expressions.update import Action

from chalicelib import runtime, settings
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.connection import connection
from chalicelib.store.organizations import OrganizationItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.log_lines import captured
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import ARTIFACT, assert_our_fault, set_presence, uses_of

_P = AgentPresenceItem
Call = Callable[[Tenant, Host], Answer]


class SigningSecret:
    """A signing secret of the test's own, for a worker of its own."""

    def __init__(self, clock: FrozenClock) -> None:
        self.clock = clock
        self.fetches = 0
        self.client = boto3.client("secretsmanager")
        self.keys = {"current": "k1", "k1": secrets.token_hex(32)}
        name = f"signing-{secrets.token_hex(8)}"
        created = self.client.create_secret(Name=name, SecretString=json.dumps(self.keys))
        self.arn = created["ARN"]

    def write(self, text: str) -> None:
        self.client.put_secret_value(SecretId=self.arn, SecretString=text)

    def delete(self) -> None:
        self.client.delete_secret(SecretId=self.arn, ForceDeleteWithoutRecovery=True)

    def rotate(self, name: str) -> None:
        self.keys = {**self.keys, name: secrets.token_hex(32), "current": name}
        self.write(json.dumps(self.keys))

    def worker(self, arn: str | None = None) -> None:
        """Start a worker that has fetched nothing yet."""
        known = dataclasses.replace(settings.load(), signing_secret_arn=arn or self.arn)
        runtime.use(
            runtime.Runtime(
                clock=self.clock,
                sleep=self.clock.slept.append,
                random=lambda: 0.5,
                settings=known,
            )
        )

    def counted(self, *_: Any, **__: Any) -> None:
        self.fetches += 1


@pytest.fixture
def secret(api: object, clock: FrozenClock) -> Iterator[SigningSecret]:
    assert api
    secret = SigningSecret(clock)
    secret.worker()
    session = connection().session
    session.register("before-send.secrets-manager.GetSecretValue", secret.counted)
    yield secret
    session.unregister("before-send.secrets-manager.GetSecretValue", secret.counted)


MALFORMED = [  # Secrets Manager itself refuses an empty one
    "not json",
    "[]",
    "null",
    "{}",
    '{"current": "k1"}',
    '{"current": "k2", "k1": "x"}',
    '{"current": ["k1"], "k1": "x"}',
    '{"current": null, "k1": "x"}',
    '{"current": "k1", "k1": ""}',
]


@pytest.mark.parametrize("state", ["missing", "deleted", *MALFORMED])
def test_a_secret_that_cannot_be_used_is_503(
    tenant: Tenant, secret: SigningSecret, state: str
) -> None:
    host, token = tenant.enroll(), tenant.mint()
    arn = None
    if state == "missing":
        arn = secret.arn + "-of-nobody"
    elif state == "deleted":
        secret.delete()
    else:
        secret.write(state)
    secret.worker(arn)
    with counted() as requests:
        for use in (host.beat(), host.call("POST", "/artifacts", ARTIFACT)):
            assert_our_fault(use, "signing_secret_unavailable")
    assert requests.operations == []
    assert_our_fault(tenant.exchange(token["token"]), "signing_secret_unavailable")
    assert uses_of(tenant, token) == 0
    assert_our_fault(tenant.api.call("GET", "/readyz"), "signing_secret_unavailable")
    assert tenant.api.call("GET", "/healthz").status == 200


def test_it_recovers_by_itself(tenant: Tenant, secret: SigningSecret) -> None:
    host, good = tenant.enroll(), json.dumps(secret.keys)
    secret.write("{}")
    secret.worker()
    assert host.beat().status == 503
    secret.write(good)
    assert host.beat().status == 200


def test_the_secret_is_fetched_once(tenant: Tenant, secret: SigningSecret) -> None:
    host = tenant.enroll()
    for _ in range(3):
        host.beat()
    assert secret.fetches == 1


def test_an_unknown_key_id_fetches_again_at_most_once_a_minute(
    tenant: Tenant, secret: SigningSecret, clock: FrozenClock
) -> None:
    host = tenant.enroll()
    clock.advance(seconds=60)
    assert secret.fetches == 1
    real, (_, payload, signature) = host.key, host.key.removeprefix("rca_").split(".")
    for seconds, fetches in ((0, 2), (1, 2), (58.999, 2), (0.001, 3)):
        clock.advance(seconds=seconds)
        for junk in ("k9", "current", "zz"):
            host.key = f"rca_{junk}.{payload}.{signature}"
            answer = host.beat()
            assert (answer.status, answer.code) == (401, "key_invalid")
        assert secret.fetches == fetches
    host.key = real
    assert host.beat().status == 200


def test_a_rotated_secret_is_noticed(
    tenant: Tenant, secret: SigningSecret, clock: FrozenClock
) -> None:
    old = tenant.enroll()
    other_worker = runtime.current()
    secret.rotate("k2")
    secret.worker()
    new = tenant.enroll()
    assert new.key.startswith("rca_k2.")
    runtime.use(other_worker)  # It knows only k1.
    clock.advance(seconds=60)
    assert new.beat().status == 200
    assert old.beat().status == 200


def test_a_refetch_that_fails_is_503(
    tenant: Tenant, secret: SigningSecret, clock: FrozenClock
) -> None:
    host = tenant.enroll()
    other_worker = runtime.current()
    secret.rotate("k2")
    secret.worker()
    new = tenant.enroll()
    runtime.use(other_worker)
    clock.advance(seconds=60)
    secret.delete()
    assert_our_fault(new.beat(), "signing_secret_unavailable")
    assert host.beat().status == 200  # its key is known


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    with captured() as stream:
        yield stream


@pytest.mark.parametrize("status", ["hibernating", "", "ONLINE"])
def test_a_presence_status_that_is_not_known_is_refused_and_logged(
    tenant: Tenant, logs: io.StringIO, status: str
) -> None:
    host = tenant.enroll()
    host.beat()
    set_presence(tenant, host.agent_id, _P.status.set(status))
    for answer in (
        host.beat(),
        host.call("POST", "/artifacts", ARTIFACT),
        host.call("GET", "/artifacts/art_" + "0" * 20),
    ):
        assert_our_fault(answer, "status_unknown")
    lines = [json.loads(line) for line in logs.getvalue().splitlines()]
    assert [line["level"] for line in lines] == ["ERROR"] * 3
    assert {line["cause"] for line in lines} == {f"presence status {status!r}"}


def test_a_presence_without_a_status_is_refused(tenant: Tenant) -> None:
    host = tenant.enroll()
    set_presence(tenant, host.agent_id, _P.status.remove())
    assert_our_fault(host.beat(), "status_unknown")


@pytest.mark.parametrize("status", ["suspended", ""])
def test_an_environment_or_operator_key_of_unknown_status_admits_nobody(
    tenant: Tenant, status: str
) -> None:
    token = tenant.mint()
    changed: list[Action] = [OrganizationItem.status.set(status)]
    row = f"environment#{tenant.environment}"
    OrganizationItem(tenant.organization, row).update(actions=changed)
    refused = tenant.exchange(token["token"])
    assert (refused.status, refused.code) == (403, "environment_closed")
    minting = tenant.call("POST", "/agent-enrollment/tokens", {"environment": tenant.environment})
    assert minting.status == 404
    assert uses_of(tenant, token) == 0
    for item in OrganizationItem.query(
        tenant.organization, OrganizationItem.item.startswith("key#")
    ):
        item.update(actions=changed)
    assert tenant.call("GET", "/agents").status == 401
