"""Why an agent is quarantined, in a sentence: a decision of an operator is no finding of copies."""

from __future__ import annotations

from typing import Any

from rollcall_cli.tables import cell
from rollcall_cli.text import clean

_OPERATOR = "operator"
_COPIES = "clone"


def copies_of(agent: dict[str, Any]) -> list[dict[str, Any]]:
    """The copies that were noticed, the newer one first; none where an operator decided."""
    copies = (agent.get("quarantine") or {}).get("copies")
    return [copy for copy in copies or () if isinstance(copy, dict)]


def why_quarantined(agent: dict[str, Any]) -> str | None:
    """The reason in words; None where the agent is not quarantined."""
    quarantine = agent.get("quarantine")
    if not isinstance(quarantine, dict):
        return None
    reason = quarantine.get("reason")
    words = {_OPERATOR: "by an operator", _COPIES: "because two copies of it were seen"}
    why = words.get(str(reason), f"because of {clean(str(reason), 64)}")
    since = f" since {cell(quarantine['since'])}" if quarantine.get("since") else ""
    note = f" ({clean(str(quarantine['note']))})" if quarantine.get("note") else ""
    return f"{why}{since}{note}"
