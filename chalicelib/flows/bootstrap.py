"""The first organization of a stage, made by whoever holds the deployer's AWS credentials."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from chalicelib import ids
from chalicelib.credentials import organization_key
from chalicelib.credentials.opaque import digest
from chalicelib.errors import Unavailable
from chalicelib.evidence.events import OrganizationBootstrapped
from chalicelib.evidence.record import Evidence, Origin, success
from chalicelib.store import audit_records, organizations
from chalicelib.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What was made. The key is shown this once."""

    organization: str
    project: str
    environment: str
    key_id: str
    operator_key: str = field(repr=False)


def bootstrap(
    *,
    organization_name: str,
    project_name: str,
    environment_name: str,
    heartbeat_interval: int,
    actor: str,
    now: int,
) -> Bootstrapped:
    """Create an organization, its project, environment and operator key in one transaction.

    Args:
        organization_name: for people.
        project_name: for people.
        environment_name: for people.
        heartbeat_interval: of the environment's agents, in seconds.
        actor: the AWS identity in whose name this is done.
        now: milliseconds since the epoch.

    Raises:
        Unavailable: the database did not answer; nothing was made.
    """
    kinds = (ids.ORGANIZATION, ids.PROJECT, ids.ENVIRONMENT, ids.ORGANIZATION_KEY)
    organization, project, environment, key = (ids.new(kind) for kind in kinds)
    raw = organization_key.FAMILY.issue(organization, key)
    rows: dict[str, dict[str, Any]] = {
        "organization": {"name": organization_name},
        f"project#{project}": {"name": project_name},
        f"environment#{environment}": {
            "name": environment_name,
            "project": project,
            "heartbeat_interval": heartbeat_interval,
            "fingerprint_key": secrets.token_bytes(32),
        },
        f"key#{key}": {
            "name": "bootstrap",
            "digest": digest(raw),
            "scopes": sorted(organization_key.SCOPES),
        },
    }
    made = Bootstrapped(organization, project, environment, key, raw)
    transaction = Transaction()
    for item, attributes in rows.items():
        organizations.put_new(transaction, organization, item, created_at=now, **attributes)
    audit_records.put(transaction, _evidence(made, organization_name, actor, now))
    if transaction.write() is not None:
        raise Unavailable("The organization could not be written; try again.")
    return made


def _evidence(made: Bootstrapped, name: str, actor: str, now: int) -> Evidence:
    return success(
        Origin(made.organization, "system", actor, "bootstrap", None, now),
        OrganizationBootstrapped(
            organization_name=name,
            project_id=made.project,
            environment_id=made.environment,
            key_id=made.key_id,
        ),
        resource=("organization", made.organization),
        project=made.project,
        environment=made.environment,
    )
