"""Whether the control plane can serve: what every agent's request needs is there."""

from chalicelib.credentials.signing import Keyring
from chalicelib.store import sweep_watermark


def check(keyring: Keyring) -> None:
    """Look once at the signing secret and at the table that heartbeats write to.

    Raises:
        Unavailable: one of them cannot be read.
    """
    keyring.current_id()
    sweep_watermark.read()
