"""Whether an enrollment token admits a host: only its holder is told why not."""

import hmac
import ipaddress

from chalicelib import names
from chalicelib.errors import DomainError, Forbidden, Gone, Unauthenticated
from chalicelib.store.enrollment_tokens import ACTIVE, REVOKED, EnrollmentTokenItem


def holds_secret(row: EnrollmentTokenItem | None, digest: bytes) -> bool:
    """Whether the caller has this very token. Everybody else learns 401 and no more."""
    return row is not None and hmac.compare_digest(bytes(row.digest or b""), digest)


def not_the_holder() -> Unauthenticated:
    """The one answer to whoever does not hold a real token."""
    return Unauthenticated("The enrollment token was not accepted.", code="credential_invalid")


def refusal(
    row: EnrollmentTokenItem, *, hostname: str | None, source_address: str | None, now: int
) -> DomainError | None:
    """Why the token does not admit another host, or None."""
    return (
        revoked(row)
        or _over(row, now)
        or wrong_host(row, hostname=hostname, source_address=source_address)
    )


def revoked(row: EnrollmentTokenItem) -> DomainError | None:
    """Refuses what was revoked, and (fail closed) any status that is not known."""
    if row.status == REVOKED:
        return Gone("The enrollment token was revoked.", code="token_revoked")
    if row.status != ACTIVE:
        return Forbidden("The enrollment token is not active.", code="token_not_active")
    return None


def _over(row: EnrollmentTokenItem, now: int) -> DomainError | None:
    if int(row.expires_at) <= now:
        return Gone("The enrollment token has expired.", code="token_expired")
    if int(row.uses) >= int(row.max_uses):
        return spent()
    return None


def spent() -> Gone:
    """Refuses when there is no use left."""
    return Gone("The enrollment token has been used up.", code="token_spent")


def wrong_host(
    row: EnrollmentTokenItem, *, hostname: str | None, source_address: str | None
) -> DomainError | None:
    """Refuses a host that the token was not minted for."""
    if row.hostname and names.same_host(row.hostname) != names.same_host(hostname or ""):
        return Forbidden(
            "The enrollment token was minted for another hostname.", code="hostname_mismatch"
        )
    if row.source_cidrs and not _inside(row.source_cidrs, source_address):
        return Forbidden(
            "The enrollment token does not admit this source address.",
            code="source_address_refused",
        )
    return None


def _inside(cidrs: list[str], source_address: str | None) -> bool:
    try:
        address = ipaddress.ip_address(source_address or "")
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(cidr) for cidr in cidrs)
