"""The actions of a service: listed once, not for each request."""

import functools

from moto.core import responses

from infra.emulator.patches import Patches


def close(patches: Patches) -> None:
    """Keep what moto finds: it walks through a name's letters, and a whole class for the method."""
    patches.wrap(responses, "method_names_from_class", functools.cache)
    patches.wrap(responses, "camelcase_to_underscores", functools.cache)
