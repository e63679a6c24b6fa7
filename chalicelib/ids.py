"""Identifiers: a kind and 100 random bits, as in `agt_0k3v…`; they sort and mean nothing."""

import base64
import re
import secrets

_BODY_BYTES = 13  # 104 bits; the first 20 base32 digits carry 100 of them
BODY = "[0-9a-v]{20}"

ORGANIZATION = "org"
PROJECT = "prj"
ENVIRONMENT = "env"
ORGANIZATION_KEY = "key"
ENROLLMENT_TOKEN = "tok"  # noqa: S105 - a kind of identifier
AGENT = "agt"
COLLECTOR = "col"
ASSET = "ast"
CERTIFICATE = "crt"
ARTIFACT = "art"
JOB = "job"
AUDIT_RECORD = "aud"
USER = "usr"
SESSION = "ses"
PERSONAL_TOKEN = "pat"  # noqa: S105 - a kind of identifier
INVITATION = "inv"
MEMBERSHIP = "mbr"


def base32(raw: bytes) -> str:
    """Lower-case base32hex without padding: safe in URLs, file names and double clicks."""
    return base64.b32hexencode(raw).decode().rstrip("=").lower()


def new(kind: str) -> str:
    """A new identifier of a kind."""
    return f"{kind}_{base32(secrets.token_bytes(_BODY_BYTES))[:20]}"


def derived(kind: str, digest: bytes) -> str:
    """The identifier that a digest of at least 13 bytes names: the same digest, the same one."""
    return f"{kind}_{base32(digest[:_BODY_BYTES])[:20]}"


def body(identifier: str) -> str:
    """The identifier without its kind, as it stands in a secret."""
    return identifier.split("_", 1)[1]


def is_a(kind: str, text: str) -> bool:
    """Whether a text is an identifier of the kind; what is not one need not be looked up."""
    return re.fullmatch(f"{kind}_{BODY}", text) is not None
