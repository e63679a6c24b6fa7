"""The organization API key: automation with listed scopes; never an agent, never a person."""

from chalicelib import ids
from chalicelib.credentials.opaque import OpaqueFamily

FAMILY = OpaqueFamily(prefix="rco_", kind=ids.ORGANIZATION_KEY)

SCOPES = frozenset(
    {
        "organization:read",
        "organization:write",
        "enrollment:read",
        "enrollment:write",
        "agents:read",
        "agents:write",
        "artifacts:read",
        "audit:read",
        "jobs:read",
    }
)
"""What an organization key or a personal API token can be allowed; a session is all of them.

People, their roles, keys and tokens have no scope: only a person who logged in changes them.
"""
