"""Operators: people by session or personal API token, and automation by organization key."""

from contextlib import suppress
from typing import Any

import msgspec
from chalice.app import Request

from chalicelib import runtime
from chalicelib.api import cross_site
from chalicelib.api.access import ORGANIZATION_KEY, PERSONAL_TOKEN, SESSION, Access
from chalicelib.api.bearers import Bearer
from chalicelib.api.callers import Caller, opaque_claims, origin_of, rejected
from chalicelib.api.requests import LARGEST_BODY
from chalicelib.credentials import organization_key, person
from chalicelib.credentials.opaque import OpaqueFamily
from chalicelib.errors import DomainError, Forbidden, Unauthenticated, Unavailable
from chalicelib.evidence.record import Origin
from chalicelib.flows import authorization, identification
from chalicelib.flows.authorization import Hidden, Wanted
from chalicelib.flows.identification import CredentialEnded, Family
from chalicelib.flows.targets import Target, is_identifier

_FAMILIES: dict[str, tuple[Family, OpaqueFamily]] = {
    SESSION: ("session", person.SESSION),
    PERSONAL_TOKEN: ("personal_token", person.PERSONAL_TOKEN),
    ORGANIZATION_KEY: ("organization_key", organization_key.FAMILY),
}


def operator(
    request: Request,
    route: str,
    access: Access,
    family: str,
    bearer: Bearer,
    arguments: dict[str, str],
) -> Caller:
    """The operator who calls, once that may be.

    Raises:
        Unauthenticated: the credential is worth nothing.
        Forbidden: a scope or permission is missing, or another site's page sends the request.
        NotFound: what the path names does not exist, or not for this caller.
        Unavailable: the database did not answer.
    """
    name, kind = _FAMILIES[family]
    claims = opaque_claims(bearer.raw, kind)
    target = _target(request, access, arguments)
    now = runtime.current().clock()
    try:
        identified = identification.identify(name, claims, target, now)
    except CredentialEnded as error:
        _denied(origin_of(request, claims.organization, *error.actor), route, error)
        raise
    except Unauthenticated as error:
        raise rejected(error.code) from error
    authority = identified.authority
    origin = origin_of(
        request,
        claims.organization,
        authority.actor_type,
        authority.actor_id,
        authority.credential,
    )
    wanted = Wanted(
        access.permission,
        access.scope,
        target,
        access.anywhere,
        access.while_deleting,
        access.ended,
    )
    try:
        if bearer.from_cookie:
            cross_site.check(request)
        authorization.check(identified, wanted)
    except (Forbidden, Hidden) as error:
        _denied(origin, route, error)
        raise
    # When it was used is told as well as may be: a request is not refused for it.
    with suppress(Unavailable):
        identification.note_use(name, claims, identified.used_at, now)
    return Caller(origin, authority=authority, row=identified.row)


def require_scope(caller: Caller, route: str, scope: str) -> None:
    """Refuse what the body asks for beyond the route, and needs a scope of its own.

    Raises:
        Forbidden: the credential lacks it; that is on record as a denied attempt.
    """
    try:
        caller.operator.require_scope(scope)
    except Forbidden as error:
        _denied(caller.origin, route, error)
        raise


def _denied(origin: Origin, route: str, error: DomainError) -> None:
    runtime.current().denials.record(origin, route, error.code)


def _target(request: Request, access: Access, arguments: dict[str, str]) -> Target | None:
    """What the request is about; None where it names nothing, which the view will refuse."""
    place = access.place
    if place is None:
        return None
    if place.source == "path":
        return Target(place.kind, arguments[place.name])
    if place.source == "query":
        named = (request.query_params or {}).get(place.name)
        return Target(place.kind, named) if named is not None else None
    named = _member(request, place.name)
    target = Target(place.kind, named) if isinstance(named, str) else None
    return target if target is not None and is_identifier(target) else None


def _member(request: Request, name: str) -> Any:  # noqa: ANN401 - it may be anything
    # Only a look: the view reads the body with all its rules, and refuses one that has a member
    # twice, so that both see the same.
    try:
        raw = request.raw_body
        if len(raw) > LARGEST_BODY:
            return None
        read = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return read.get(name) if isinstance(read, dict) else None
