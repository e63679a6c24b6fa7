"""The base URL of a control plane, as people copy it."""

from __future__ import annotations

import re
from typing import Final

# What is below the stage: the API's routes, and where the installers are.
_BELOW_STAGE: Final = re.compile(r"/+(?:api/v1|install/install\.(?:sh|ps1))(?:/.*)?\Z")


def without_route(url: str) -> str:
    """Return a URL without a slash at its end, and without a route that was copied with it.

    Args:
        url: as it was given, without query and fragment.
    """
    return _BELOW_STAGE.sub("", url).rstrip("/")
