"""An organization with one of everything, and a credential of every family."""

import copy
import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from chalicelib import ids, runtime, workers
from chalicelib.credentials import enrollment_token, organization_key
from chalicelib.credentials.opaque import OpaqueFamily, digest
from chalicelib.evidence.envelope import rfc3339
from chalicelib.store import organizations
from chalicelib.store.connection import connection
from chalicelib.store.transaction import Transaction
from infra.emulator.account import REGION
from infra.engines import chosen
from tests.functional.api import Api, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.people import Person, open_session, person, personal_token

CONTENT = b"what the agent kept"
_BATCH = 25
IDENTITY_PROVIDER = {
    # Of a range that is for documents: no test asks a provider that it did not start.
    "issuer": "https://192.0.2.1",
    "client_id": "rollcall",
    "client_secret": "canary of the client",
    "group_roles": {"ops": "operator"},
}


@dataclass
class World:
    """What the routes can be asked about, all of one tenant."""

    tenant: Tenant
    token: dict[str, Any]
    host: Host
    artifact: str
    job: str
    export: str
    admin: Person
    other_session: str
    personal_token: tuple[str, str]
    invitation: str
    organization_key: str

    @property
    def parameters(self) -> dict[str, str]:
        """The identifiers that stand in paths."""
        return {
            "enrollment_token_id": self.token["enrollment_token_id"],
            "agent_id": self.host.agent_id,
            "artifact_id": self.artifact,
            "job_id": self.job,
            "export_id": self.export,
            "organization_id": self.tenant.organization,
            "project_id": self.tenant.project,
            "environment_id": self.tenant.environment,
            "user_id": self.admin.user,
            "session_id": self.other_session,
            "personal_token_id": self.personal_token[1],
            "invitation_id": self.invitation,
            "organization_key_id": self.organization_key,
        }

    def credential(self, family: str) -> str:
        """A credential of a family; those that nothing issues yet have the right form."""
        real = {
            "rcs_": self.admin.session,
            "rcp_": self.personal_token[0],
            "rco_": self.tenant.key,
            "rce_": self.token["token"],
            "rca_": self.host.key,
        }
        return real.get(family) or OpaqueFamily(family, "any").issue(
            self.tenant.organization, ids.new("any")
        )


def _export(tenant: Tenant) -> str:
    """An export of the last hour, which no function works on yet."""
    now = tenant.api.clock.now
    wanted = {"since": rfc3339(now - 3_600_000), "until": rfc3339(now)}
    asked = tenant.call("POST", "/audit-records/export", wanted)
    assert asked.status == 202, asked.body
    return str(asked.body["job"]["job_id"])


def artifact_wish(content: bytes = CONTENT, **more: Any) -> dict[str, Any]:
    """The announcement of a content."""
    return {
        "kind": "incident_bundle",
        "filename": "bundle.tar.gz",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "content_type": "application/gzip",
        **more,
    }


def put_incoming(tenant: Tenant, agent: str, artifact: str, content: bytes, **more: Any) -> str:
    """Put an object where an upload lands, as S3 takes it from the signed form."""
    now = runtime.current()
    key = f"incoming/{tenant.organization}/{agent}/{artifact}"
    given = {"ChecksumAlgorithm": "SHA256", "ContentType": "application/gzip", **more}
    now._client("s3").put_object(Bucket=now.settings.bucket, Key=key, Body=content, **given)
    return key


def new_world(api: Api) -> World:
    """A tenant of its own with an unspent token, an active agent, an artifact and a job."""
    tenant = api.new_tenant()
    host = tenant.enroll()
    assert host.beat().status == 200
    announced = host.call("POST", "/artifacts", artifact_wish())
    assert announced.status == 201, announced.body
    artifact = announced.body["artifact_id"]
    assert workers.verify(put_incoming(tenant, host.agent_id, artifact, CONTENT), None) == "stored"
    ended = tenant.mint()["enrollment_token_id"]
    revoked = tenant.call("POST", f"/agent-enrollment/tokens/{ended}/revoke", {"cascade": True})
    assert revoked.status == 202, revoked.body
    token = tenant.mint()
    guessed = enrollment_token.FAMILY.issue(tenant.organization, token["enrollment_token_id"])
    assert tenant.exchange(guessed).status == 401
    admin = person(tenant, "org_admin", projects={tenant.project: "viewer"})
    _, other_session = open_session(tenant, admin.user)
    return World(
        tenant,
        token,
        host,
        artifact,
        revoked.body["job"]["job_id"],
        _export(tenant),
        admin,
        other_session,
        personal_token(tenant, admin.user, set(organization_key.SCOPES)),
        *_made_by(admin),
    )


def _made_by(admin: Person) -> tuple[str, str]:
    """An invitation and an organization key, and an identity provider."""
    path = f"/organizations/{admin.tenant.organization}/identity-provider"
    provided = admin.call("PUT", path, IDENTITY_PROVIDER)
    assert provided.status == 200, provided.body
    invited = admin.call("POST", "/invitations", {"role": "viewer"})
    key = admin.call("POST", "/organization-keys", {"name": "ci", "scopes": ["agents:read"]})
    assert (invited.status, key.status) == (201, 201)
    return str(invited.body["invitation_id"]), str(key.body["organization_key_id"])


def organization_key_with(tenant: Tenant, scopes: set[str], *, status: str = "active") -> str:
    """Another organization key of the tenant."""
    key = ids.new(ids.ORGANIZATION_KEY)
    raw = organization_key.FAMILY.issue(tenant.organization, key)
    transaction = Transaction()
    organizations.put_new(
        transaction,
        tenant.organization,
        f"key#{key}",
        name="test",
        status=status,
        digest=digest(raw),
        scopes=sorted(scopes),
        created_at=tenant.api.clock.now,
    )
    assert transaction.write() is None
    return raw


def empty_tables() -> None:
    """Forget all rows: moto copies whole tables for each transaction, so old ones cost time.

    A real engine has no such shortcut; what a few scans find is deleted there.
    """
    if chosen():
        _delete_all_rows()
        return
    for _, table in _tables():
        table.items.clear()


class Snapshot:
    """All rows of this moment, to be put back: that is sooner done than a world is made.

    Objects in buckets stay as they are, and so does what was told to the streams.
    """

    def __init__(self) -> None:
        self._rows = {name: copy.deepcopy(table.items) for name, table in _tables()}

    def restore(self) -> None:
        """Let the tables hold these rows and no others."""
        for name, table in _tables():
            table.items.clear()
            table.items.update(copy.deepcopy(self._rows[name]))


def _tables() -> Iterable[tuple[str, Any]]:
    tables: dict[str, Any] = dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables
    return tables.items()


def _delete_all_rows() -> None:
    client: Any = connection().client
    for table, key in _stage_keys():
        places = {f"#{number}": name for number, name in enumerate(key)}
        pages = client.get_paginator("scan").paginate(
            TableName=table,
            ProjectionExpression=",".join(places),
            ExpressionAttributeNames=places,
        )
        deletions = [{"DeleteRequest": {"Key": row}} for page in pages for row in page["Items"]]
        for start in range(0, len(deletions), _BATCH):
            client.batch_write_item(RequestItems={table: deletions[start : start + _BATCH]})


@cache
def _stage_keys() -> list[tuple[str, list[str]]]:
    """The stage's tables, each with the attributes of its key."""
    client: Any = connection().client
    return [
        (name, [one["AttributeName"] for one in described["Table"]["KeySchema"]])
        for name in client.list_tables()["TableNames"]
        for described in [client.describe_table(TableName=name)]
    ]


@contextmanager
def running_api() -> Iterator[Api]:
    """The app on a clock of its own, for fixtures that live longer than one test."""
    empty_tables()
    clock = FrozenClock()
    runtime.use(runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5))
    with Api(clock) as client:
        yield client
    runtime.use(None)


def nonce() -> str:
    """A fresh nonce of a heartbeat."""
    return secrets.token_urlsafe(16)
