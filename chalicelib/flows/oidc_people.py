"""Whom an identity at a provider stands for, and which role its groups give.

The provider is the authority on its people: at every login the membership becomes what the groups
say, and ends where they say nothing. An identity is organization, issuer and subject. What the
provider says of names and e-mail addresses is shown, and never compared with anything.
"""

from typing import Any

import msgspec

from chalicelib import ids, names
from chalicelib.errors import Forbidden, Unauthenticated
from chalicelib.evidence.federation_events import UserProvisioned
from chalicelib.evidence.login_events import UserLoginFailed
from chalicelib.evidence.member_events import MemberAdded, MemberUpdated
from chalicelib.evidence.record import Origin, refusal, success
from chalicelib.flows import members, oidc_guard, sessions
from chalicelib.flows.contention import Patience
from chalicelib.flows.refusals import RefusalLog
from chalicelib.flows.sessions import Opened, Visit
from chalicelib.permissions import Role, role_of
from chalicelib.store import (
    audit_records,
    identity_providers,
    memberships,
    organizations,
    people,
)
from chalicelib.store.identity_providers import IdentityProvider
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from chalicelib.store.table import read_all
from chalicelib.store.transaction import Cancelled, Transaction

_GREATEST_FIRST = (Role.ORG_ADMIN, Role.PROJECT_ADMIN, Role.OPERATOR, Role.VIEWER)
_LONGEST_NAME = 128
_ACTOR = "identity_provider"


class Identity(msgspec.Struct, frozen=True):
    """What a verified ID token says of somebody.

    `role` is by the provider's row as it was set at `mapped_at`.
    """

    issuer: str
    subject: str
    display_name: str | None
    role: Role | None
    mapped_at: int


def identity(provider: IdentityProvider, claims: dict[str, Any]) -> Identity:
    """Read the claims of a verified ID token."""
    given = claims.get(provider.groups_claim)
    groups = {given} if isinstance(given, str) else given if isinstance(given, list) else ()
    roles = {role_of(provider.group_roles.get(one)) for one in groups if isinstance(one, str)}
    return Identity(
        issuer=provider.issuer,
        subject=str(claims["sub"]),
        display_name=_shown(claims.get("name")) or _shown(claims.get("preferred_username")),
        role=next((role for role in _GREATEST_FIRST if role in roles), None),
        mapped_at=provider.changed_at,
    )


def _shown(name: object) -> str | None:
    if not isinstance(name, str) or names.unseen(name) is not None:
        return None
    return names.normal(name)[:_LONGEST_NAME] or None


def admit(
    patience: Patience, refusals: RefusalLog, visit: Visit, organization: str, who: Identity
) -> Opened:
    """Open a session for an identity; the account is made when it comes for the first time.

    Raises:
        Forbidden: no group gives a role, or the account is disabled.
        Conflict: the groups would leave the organization without an org_admin.
        Unauthenticated: the provider was changed meanwhile, or taken away.
    """
    for _ in patience.rounds():
        user = identity_providers.find_person(organization, who.issuer, who.subject)
        if user is None:
            opened = _first_login(visit, organization, who)
        else:
            opened = _login(patience, refusals, visit, organization, user, who)
        if opened is not None:
            return opened
    raise AssertionError("unreachable: patience raises")


def _first_login(visit: Visit, organization: str, who: Identity) -> Opened | None:
    if who.role is None:
        raise _no_role()
    user = ids.new(ids.USER)
    transaction = Transaction()
    people.put_new(
        transaction,
        "user",
        user,
        people.USER,
        home=organization,
        display_name=who.display_name,
        valid_from=0,
        created_at=visit.now,
    )
    identity_providers.put_identity(
        transaction, organization, who.issuer, who.subject, user=user, created_at=visit.now
    )
    provisioned = UserProvisioned(
        user_id=user,
        issuer=who.issuer,
        subject_sha256=identity_providers.subject_digest(who.issuer, who.subject),
    )
    audit_records.put(
        transaction,
        success(_origin(visit, organization), provisioned, resource=("user", user)),
        part="user_audit",
    )
    membership = _add(transaction, visit, organization, user, who.role)
    opened = sessions.begin(
        transaction,
        visit,
        user=user,
        organization=organization,
        membership=membership,
        method="oidc",
        valid_from=0,
    )
    return _written(transaction, opened, organization, who)


def _login(
    patience: Patience,
    refusals: RefusalLog,
    visit: Visit,
    organization: str,
    user: str,
    who: Identity,
) -> Opened | None:
    person, member = read_all([people.user_row(user), organizations.member_row(organization, user)])
    if not isinstance(person, PersonItem):
        raise Unauthenticated("The login was not accepted.", code="login_failed")
    if not isinstance(member, OrganizationItem):
        member = None
    if person.status != people.ACTIVE:
        raise _refused(refusals, visit, organization, user, _disabled())
    if who.role is None:
        if member is not None:
            _check_current(organization, who)
            members.remove(patience, _origin(visit, organization), user)
        raise _refused(refusals, visit, organization, user, _no_role())
    if member is not None and member.status != organizations.ACTIVE:
        raise _refused(refusals, visit, organization, user, _disabled())
    transaction = Transaction()
    membership = member.membership if member is not None else None
    if member is None:
        membership = _add(transaction, visit, organization, user, who.role)
    elif member.role != who.role:
        _change(transaction, visit, member, who.role)
    else:
        organizations.check_member(transaction, member)
    people.check_unmoved(transaction, person)
    opened = sessions.begin(
        transaction,
        visit,
        user=user,
        organization=organization,
        membership=membership,
        method="oidc",
        valid_from=person.valid_from,
    )
    return _written(transaction, opened, organization, who)


def _check_current(organization: str, who: Identity) -> None:
    # A mapping that was changed meanwhile ends no membership.
    provider = identity_providers.find_in_use(organization)
    if provider is None or provider.changed_at != who.mapped_at:
        raise _changed()


def _changed() -> Unauthenticated:
    return oidc_guard.begin_anew("login_state_invalid", "the provider was changed meanwhile")


def _add(transaction: Transaction, visit: Visit, organization: str, user: str, role: Role) -> str:
    membership = memberships.add(
        transaction,
        organization,
        user,
        username=None,
        role=role,
        projects={},
        created_at=visit.now,
        created_by=_ACTOR,
    )
    audit_records.put(
        transaction,
        success(
            _origin(visit, organization),
            MemberAdded(user_id=user, role=role, projects={}),
            resource=("user", user),
        ),
    )
    return membership


def _change(transaction: Transaction, visit: Visit, member: OrganizationItem, role: Role) -> None:
    user = str(member.user)
    memberships.change_roles(transaction, member, role=role, projects=dict(member.projects or {}))
    change = (role == Role.ORG_ADMIN) - memberships.counts(member)
    memberships.count_admins(transaction, member.organization, change)
    audit_records.put(
        transaction,
        success(
            _origin(visit, member.organization),
            MemberUpdated(user_id=user, role=role, previous_role=member.role),
            resource=("user", user),
        ),
    )


def _written(
    transaction: Transaction, opened: Opened, organization: str, who: Identity
) -> Opened | None:
    """The session, or None where somebody else wrote the same rows first."""
    identity_providers.check_in_use(transaction, organization, who.mapped_at)
    cancelled: Cancelled | None = transaction.write()
    # The SDK repeats a request whose answer was lost; the session that stands in the way is then
    # our own, for its identifier follows from 256 random bits.
    if cancelled is None or "session" in cancelled.refused:
        return opened
    if "provider" in cancelled.refused:
        raise _changed()
    members.check_admins(cancelled, who.role)
    return None


def _origin(visit: Visit, organization: str) -> Origin:
    """Roles are given by the groups: that a person's login is what tells them is no deed of his."""
    return Origin(
        organization=organization,
        actor_type="system",
        actor_id=_ACTOR,
        request_id=visit.request_id,
        source_address=visit.source_address,
        now=visit.now,
    )


def _refused(
    refusals: RefusalLog, visit: Visit, organization: str, user: str, error: Forbidden
) -> Forbidden:
    refusals.record(
        refusal(
            visit.origin(organization, user),
            UserLoginFailed(user_id=user, reason=error.code),
            error.code,
            resource=("user", user),
        )
    )
    return error


def _no_role() -> Forbidden:
    return Forbidden(
        "None of your groups at the identity provider has a role in this organization.",
        code="no_role_mapped",
    )


def _disabled() -> Forbidden:
    return Forbidden("The account is disabled.", code="user_disabled")
