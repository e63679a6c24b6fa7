"""The actions of a service: listed once, not for each request."""

import functools

from moto.core import responses

from infra.emulator.patches import Patches


def close(patches: Patches) -> None:
    """Keep what moto finds: it walks through a whole class to learn whether it has a method."""
    patches.wrap(responses, "method_names_from_class", functools.cache)
