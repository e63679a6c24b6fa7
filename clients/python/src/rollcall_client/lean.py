"""httpx without the command line that it brings along.

That one loads rich, click and pygments, which would cost a program 6 MB for as long as it runs. It
is optional to httpx, which takes its absence as it takes a missing dependency.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402 - only now

__all__ = ["httpx"]
