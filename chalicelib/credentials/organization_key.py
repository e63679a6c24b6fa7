"""The organization API key: automation with listed scopes; never an agent, never a person."""

from chalicelib import ids
from chalicelib.credentials.opaque import OpaqueFamily

FAMILY = OpaqueFamily(prefix="rco_", kind=ids.ORGANIZATION_KEY)

SCOPES = frozenset(
    {
        "enrollment:read",
        "enrollment:write",
        "agents:read",
        "agents:write",
        "artifacts:read",
        "audit:read",
        "jobs:read",
    }
)
