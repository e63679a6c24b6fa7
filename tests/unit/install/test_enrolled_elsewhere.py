"""install.sh on an enrolled host names both control planes where they differ."""

from __future__ import annotations

import pytest

from tests.unit.install.script_functions import call

HERE = "https://cp.example/prod"
# NAME and VALUE of the env file, and the script's own URL; prints the line.
DRIVER = r"""
while [ "$#" -gt 0 ]; do
  names=("$1") values=("$2") url=$3 identity=agt_1
  say_enrolled
  printf '\0'
  shift 3
done
"""


def lines(*cases: tuple[str, str, str]) -> list[str]:
    return [line.strip() for line in call(DRIVER, *[word for case in cases for word in case])]


@pytest.mark.parametrize(
    "name", ["ROLLCALL_API_BASE_URL", "BYTEOR_API_BASE_URL", "RM_SERVER", "BACKEND_URL"]
)
def test_another_control_plane_is_named_with_the_one_of_the_identity(name: str) -> None:
    other = "https://other.example/prod"
    (line,) = lines((name, HERE, other))
    assert line == (
        f"rollcall: this host is enrolled already as agt_1 at {HERE}, not at {other}; nothing was "
        f"changed. To move it to {other}: ROLLCALL_FORCE_REENROLL=1 and a token of that one."
    )


def test_another_stage_port_or_scheme_is_another_control_plane() -> None:
    others = [
        "https://cp.example/dev",
        "https://cp.example",
        "https://cp.example/Prod",
        "https://cp.example:8443/prod",
        "http://cp.example/prod",
        "https://[::1]/prod",
    ]
    found = lines(*[("ROLLCALL_API_BASE_URL", HERE, other) for other in others])
    assert len(found) == len(others)
    for other, line in zip(others, found, strict=True):
        assert f" as agt_1 at {HERE}, not at {other}; nothing was changed." in line


def test_the_same_control_plane_and_what_cannot_be_shown_are_not_named() -> None:
    same = [HERE, f"{HERE}/", f" {HERE}// ", "HTTPS://CP.Example:443/prod"]
    unshown = ["", "https://u:canary@other.example/x", "canary", "https://a b", "https://x?canary"]
    found = lines(*[("ROLLCALL_API_BASE_URL", url, HERE) for url in same + unshown])
    line = (
        "rollcall: this host is enrolled already as agt_1; nothing was changed. "
        "For a new identity: ROLLCALL_FORCE_REENROLL=1 and a new token."
    )
    assert found == [line] * len(same + unshown)
