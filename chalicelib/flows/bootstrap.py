"""The first organization of a stage, made by whoever holds the deployer's AWS credentials.

With it comes its first org_admin, who invites the others.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chalicelib import fields, ids
from chalicelib.credentials import organization_key
from chalicelib.credentials.opaque import digest
from chalicelib.credentials.password import Passwords, check_new
from chalicelib.errors import Conflict, Malformed, Unavailable
from chalicelib.evidence.events import OrganizationBootstrapped
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.fields import DisplayName, Username
from chalicelib.flows import environments, projects
from chalicelib.permissions import Role
from chalicelib.store import audit_records, organizations, people
from chalicelib.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """The first person of an organization."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What was made. The key is shown this once."""

    organization: str
    project: str
    environment: str
    key_id: str
    operator_key: str = field(repr=False)
    admin: str | None = None


def bootstrap(
    *,
    organization_name: str,
    project_name: str,
    environment_name: str,
    heartbeat_interval: int,
    actor: str,
    now: int,
    admin: FirstAdmin | None = None,
    passwords: Passwords | None = None,
) -> Bootstrapped:
    """Create an organization, its project, environment and operator key in one transaction.

    Hashing a password takes its time: an organization that nobody logs in to needs no admin.

    Args:
        organization_name: for people.
        project_name: for people.
        environment_name: for people.
        heartbeat_interval: of the environment's agents, in seconds.
        actor: the AWS identity in whose name this is done.
        now: milliseconds since the epoch.
        admin: the organization's first org_admin, made in the same transaction.
        passwords: hashes the admin's password.

    Raises:
        Malformed: a name, or the admin's password, cannot be used.
        Conflict: somebody has that name; nothing was made.
        Unavailable: the database did not answer; nothing was made.
    """
    organization_name, project_name, environment_name = (
        _named(text, what)
        for text, what in (
            (organization_name, "organization"),
            (project_name, "project"),
            (environment_name, "environment"),
        )
    )
    kinds = (ids.ORGANIZATION, ids.PROJECT, ids.ENVIRONMENT, ids.ORGANIZATION_KEY)
    organization, project, environment, key = (ids.new(kind) for kind in kinds)
    raw = organization_key.FAMILY.issue(organization, key)
    user = ids.new(ids.USER) if admin is not None else None
    made = Bootstrapped(organization, project, environment, key, raw, user)
    transaction = Transaction()
    fingerprint_key = secrets.token_bytes(organizations.FINGERPRINT_KEY_BYTES)
    _add_organization(transaction, made, organization_name, fingerprint_key, now)
    projects.add(transaction, organization, project, name=project_name, now=now, by=actor)
    environments.add(
        transaction,
        organization,
        environment,
        project=project,
        name=environment_name,
        heartbeat_interval=heartbeat_interval,
        fingerprint_key=fingerprint_key,
        now=now,
        by=actor,
    )
    if admin is not None:
        _add_admin(transaction, made, admin, passwords or Passwords(), now)
    audit_records.put(transaction, _evidence(made, organization_name, actor, now))
    cancelled = transaction.write()
    # The SDK repeats a request whose answer was lost; an organization that is there is then ours.
    if cancelled is not None and "organization" not in cancelled.refused:
        if "username" in cancelled.refused:
            raise Conflict("Somebody has this username already.", code="username_taken")
        raise Unavailable("The organization could not be written; try again.")
    return made


def _named(text: str, what: str) -> str:
    try:
        return fields.convert(text, DisplayName)
    except msgspec.ValidationError as error:
        raise Malformed(f"The name of the {what} {error}.") from error


def _add_organization(
    transaction: Transaction, made: Bootstrapped, name: str, fingerprint_key: bytes, now: int
) -> None:
    rows: dict[str, dict[str, Any]] = {
        "organization": {
            "name": name,
            "admins": 1 if made.admin is not None else None,
            "fingerprint_key": fingerprint_key,
        },
        f"key#{made.key_id}": {
            "name": "bootstrap",
            "digest": digest(made.operator_key),
            "scopes": sorted(organization_key.SCOPES),
        },
    }
    for item, attributes in rows.items():
        organizations.put_new(transaction, made.organization, item, created_at=now, **attributes)


def _add_admin(
    transaction: Transaction, made: Bootstrapped, admin: FirstAdmin, passwords: Passwords, now: int
) -> None:
    user, organization = str(made.admin), made.organization
    try:
        username = msgspec.convert(admin.username, Username).lower()
    except msgspec.ValidationError as error:
        raise Malformed("The username cannot be used.", cause=str(error)) from error
    check_new(admin.password, "password")
    membership: dict[str, Any] = {"role": Role.ORG_ADMIN.value, "projects": {}, "created_at": now}
    people.claim_username(transaction, username, user, now)
    people.put_new(
        transaction,
        "user",
        user,
        people.USER,
        username=username,
        password_hash=passwords.hash(admin.password),
        home=organization,
        valid_from=0,
        created_at=now,
    )
    people.put_new(
        transaction,
        "mirror",
        user,
        f"organization#{organization}",
        organization=organization,
        **membership,
    )
    organizations.put_new(
        transaction,
        organization,
        f"member#{user}",
        user=user,
        username=username,
        membership=ids.new(ids.MEMBERSHIP),
        revision=1,
        **membership,
    )


def _evidence(made: Bootstrapped, name: str, actor: str, now: int) -> Evidence:
    return success(
        Origin(made.organization, "system", actor, "bootstrap", None, now),
        OrganizationBootstrapped(
            organization_name=name,
            project_id=made.project,
            environment_id=made.environment,
            key_id=made.key_id,
            admin_user_id=made.admin,
        ),
        resource=("organization", made.organization),
        project=made.project,
        environment=made.environment,
    )
