"""The watch over secrets sees them: otherwise its silence would prove nothing."""

import base64
import json
import logging

import pytest

from chalicelib import ids, runtime, telemetry
from chalicelib.credentials import enrollment_token, person
from chalicelib.credentials.opaque import OpaqueFamily
from chalicelib.store.organizations import OrganizationItem
from tests.functional.api import Tenant
from tests.functional.canaries import MARK, Watch, kinds_in, watch
from tests.functional.streams import Queue


def secret() -> str:
    return enrollment_token.FAMILY.issue(ids.new("org"), ids.new("tok"))


@pytest.mark.parametrize("family", [person.SESSION, person.PERSONAL_TOKEN, person.INVITATION])
def test_every_opaque_secret_is_known_by_its_shape(family: OpaqueFamily) -> None:
    assert kinds_in(f"so {family.issue(ids.new('org'), ids.new('usr'))}.") == ["an opaque secret"]


def test_a_runtime_key_is_known_by_its_shape(tenant: Tenant) -> None:
    assert kinds_in(tenant.enroll().key) == ["a runtime key"]


def test_a_stored_secret_is_seen_also_as_bytes(tenant: Tenant) -> None:
    for attributes in ({"name": secret()}, {"digest": secret().encode()}, {"name": MARK}):
        watch.take()
        OrganizationItem(tenant.organization, "test", created_at=0, **attributes).save()
        assert watch.take()


def test_an_event_or_letter_with_a_secret_is_seen(tenant: Tenant, letters: Queue) -> None:
    assert tenant.organization
    now = runtime.current()
    queue = now.settings.dead_letter_queue_url
    watch.take()
    now._client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(f"it is {secret()}"))
    assert watch.take()
    assert len(letters.read()) == 1  # and none is left for the tests that come


def test_an_answer_with_a_secret_is_seen_unless_that_is_its_point() -> None:
    own = Watch()
    own.look_at_answer("POST", "/api/v1/agent-enrollment/tokens", secret())
    assert own.take() == []
    own.look_at_answer("GET", "/api/v1/agent-enrollment/tokens", secret())
    assert own.take() == ["an opaque secret in the answer to GET /api/v1/agent-enrollment/tokens"]


def test_a_find_does_not_repeat_the_secret() -> None:
    own, raw = Watch(), secret()
    own.look("a log line", raw)
    assert raw not in str(own.found)
    assert base64.b64encode(raw.encode()).decode() not in str(own.found)


def test_a_logged_secret_is_seen() -> None:
    # Not logged here: the watch over what tests print would fail this one, as it should.
    record = logging.LogRecord("rollcall", logging.INFO, "", 0, "refused %s", (secret(),), None)
    assert kinds_in(telemetry.logger.registered_formatter.format(record))


def test_the_watch_looks_at_what_the_suite_does(tenant: Tenant) -> None:
    before = watch.looked
    tenant.enroll()
    assert watch.looked > before
