"""The paths of EventBridge's input templates: read once, and not anew for each event."""

import functools

import jsonpath_ng.ext

from infra.emulator.patches import Patches


def close(patches: Patches) -> None:
    """Keep the parsed paths: for each path of each event moto builds the whole parser anew."""
    patches.wrap(jsonpath_ng.ext, "parse", functools.cache)
