"""The person who acts, looked at once more by the very transaction that gives lasting power.

A request is let in by what was read at its beginning. Who is demoted or removed a moment later
must not leave behind what outlives them: keys, invitations, roles, an identity provider.
"""

from chalicelib.errors import DomainError
from chalicelib.evidence.record import Origin
from chalicelib.flows import authorization
from chalicelib.flows.identification import CredentialEnded
from chalicelib.permissions import Permission
from chalicelib.store import memberships, organizations
from chalicelib.store.organizations import ACTIVE, OrganizationItem
from chalicelib.store.transaction import Cancelled, Transaction

ACTOR = "actor"
"""The part of the transaction, as `Cancelled.refused` names it."""
_SYSTEM = "system"


def check_admin(
    transaction: Transaction,
    origin: Origin,
    target: str | None = None,
    seen: OrganizationItem | None = None,
) -> None:
    """Add the condition that the person who acts is an org_admin still (part `actor`).

    Args:
        transaction: to which it is added.
        origin: who acts; the system itself is nobody's member.
        target: whose membership the transaction changes, where it is one's.
        seen: that membership as it was read; the transaction must find it unmoved.

    Raises:
        Unauthenticated: the person does not belong to the organization any more.
        Forbidden: the person is no org_admin any more.
    """
    if origin.actor_type == _SYSTEM:
        return
    if target == origin.actor_id:
        # A row can be in a transaction once: the change itself finds it as it is judged here.
        if not memberships.counts(seen):
            raise _refusal(origin, seen)
        return
    memberships.check_admin(transaction, ACTOR, origin.organization, origin.actor_id)


def refuse(cancelled: Cancelled, origin: Origin) -> None:
    """Say what the guard would say now, where the one who acts stood in the way.

    Raises:
        Unauthenticated: the person does not belong to the organization any more.
        Forbidden: the person is no org_admin any more.
    """
    if ACTOR not in cancelled.refused:
        return
    row = organizations.find(origin.organization, f"member#{origin.actor_id}")
    # Who is an org_admin again by now is worth another attempt.
    if not memberships.counts(row):
        raise _refusal(origin, row)


def _refusal(origin: Origin, row: OrganizationItem | None) -> DomainError:
    if row is not None and row.status == ACTIVE:
        return authorization.missing(Permission.MANAGE_ORG_MEMBERSHIPS)
    code = "membership_ended" if row is None else "user_disabled"
    return CredentialEnded(code, (origin.actor_type, origin.actor_id, origin.credential))
