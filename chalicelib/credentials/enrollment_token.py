"""The enrollment token: one environment, `agent:enroll` only."""

from chalicelib import ids
from chalicelib.credentials.opaque import OpaqueFamily

FAMILY = OpaqueFamily(prefix="rce_", kind=ids.ENROLLMENT_TOKEN)
