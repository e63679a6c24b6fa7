"""What must hold for the install scripts as they are written, before anybody runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from tests.vectors.reading import ENV_FILE_REASONS

FOLDER = Path("chalicelib/install")
SHELL = FOLDER / "install.sh"
POWERSHELL = FOLDER / "install.ps1"
BOTH = pytest.mark.parametrize("script", [SHELL, POWERSHELL], ids=lambda path: path.suffix)
NAME = r"(?:ROLLCALL|RM|BACKEND|INSTALL)_[A-Z0-9_]+"
# These stand in the agent's env file, and are never taken from the environment.
OF_THE_ENV_FILE = {
    *("ROLLCALL_AGENT_ID", "ROLLCALL_AGENT_API_KEY", "RM_AGENT_TOKEN", "ROLLCALL_STATE_FILE"),
    *("ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY", "ROLLCALL_ENROLLMENT_TOKEN_SHA256"),
    "ROLLCALL_API_BASE_URL",
    # Set by the service's definition; only checked, as every switch is.
    "ROLLCALL_SUPERVISED",
    # Set by install.sh itself, for the agent.
    "ROLLCALL_FORMER_WAS_TOLD",
}


def heading(script: Path) -> str:
    """The comment at the top."""
    lines = script.read_text().splitlines()
    return "\n".join(lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))])


@BOTH
@pytest.mark.parametrize("name", ["ROLLCALL_URL", "ROLLCALL_RELEASE_KEY_SHA256"])
def test_each_place_that_the_control_plane_fills_in_stands_once_and_in_single_quotes(
    script: Path, name: str
) -> None:
    assert script.read_text().count(f"@{name}@") == 1
    assert f"='@{name}@'" in script.read_text().replace(" = ", "=")


@BOTH
def test_every_name_of_the_environment_is_documented_at_the_top(script: Path) -> None:
    text = script.read_text()
    top = heading(script)
    used = set(re.findall(rf"(?<![@A-Z_])({NAME})(?![@A-Z_])", text[len(top) :]))
    assert len(used) > 10
    assert sorted(used - OF_THE_ENV_FILE - set(re.findall(NAME, top))) == []
    assert sorted(set(re.findall(NAME, top)) - used) == []


@BOTH
def test_a_certificate_is_always_checked(script: Path) -> None:
    text = script.read_text()
    for name in ("--insecure", " -k ", "SkipCertificateCheck", "CertificateValidationCallback"):
        assert name not in text.replace("it could hold --insecure", "")


@BOTH
def test_every_shell_reads_the_script_the_same(script: Path) -> None:
    # Windows PowerShell takes a file without a byte order mark for one in the old code page.
    text = script.read_bytes().decode("ascii")
    assert "\r" not in text
    assert "\t" not in text


@BOTH
def test_a_token_is_never_an_argument(script: Path) -> None:
    assert not re.search(r"--token[ =\"]", script.read_text().replace("--token-file", ""))


def test_nothing_stands_outside_of_a_function_that_could_do_something() -> None:
    text = SHELL.read_text()
    inside = r"(?ms)^[a-z_0-9]+\(\) \{.*?^\}$|^[a-z_0-9]+\(\) \{.*\}$"
    outside = [line for line in re.sub(inside, "", text).splitlines() if line.strip(" ")]
    outside = [line for line in outside if not line.startswith("#")]
    constant = r"readonly [A-Z0-9_]+=('[^']*'|[0-9]+)"
    assert [line for line in outside[:-1] if not re.fullmatch(constant, line)] == [
        "refuse_other_shells",
        "set +o posix # as `sh`, bash would not understand all of what follows",
        "set -euo pipefail",
        "readonly BOM=$'\\xef\\xbb\\xbf' BLANK=$' \\t'",
    ]
    assert outside[-1] == '{ main "$@"; }'


def parsed(text: str) -> Node:
    """The syntax tree of a PowerShell script."""
    parser = Parser(Language(tree_sitter_powershell.language()))
    return parser.parse(text.encode()).root_node


def statements(root: Node) -> list[Node]:
    """What a script does, in its order, without its comments."""
    found = [child for child in root.children if child.type != "comment"]
    return [inner for child in found for inner in child.children if inner.type != "comment"]


def test_powershell_can_read_its_script() -> None:
    assert not parsed(POWERSHELL.read_text()).has_error
    # A brace too few is an error, or this test would prove nothing.
    assert parsed(POWERSHELL.read_text().replace("} finally {", "finally {", 1)).has_error


def test_the_powershell_script_is_one_function_called_on_its_last_line() -> None:
    function, call = statements(parsed(POWERSHELL.read_text()))
    assert function.type == "function_statement"
    assert POWERSHELL.read_text().splitlines()[-1] == "if ($true) { Install-RollcallAgent @args }"
    assert call.type == "if_statement"


def test_a_powershell_script_that_was_cut_is_no_program() -> None:
    text = POWERSHELL.read_text()
    last = len(text) - len(text.splitlines()[-1]) - 1
    ends = [match.end() for match in re.finditer("\n", text[:last])][::8]
    for end in [*ends, *range(last + 1, len(text) - 1)]:
        root = parsed(text[:end])
        does = [node.type for node in statements(root) if node.type != "function_statement"]
        # The first letters of the last line are no command that there is.
        assert root.has_error or not does or text[last:end] in {"i", "if"}, f"cut at {end}"


def test_both_scripts_ask_for_the_same_check_of_the_manifest() -> None:
    for script in (SHELL, POWERSHELL):
        text = script.read_text()
        assert "rollcall-agent-manifest 1" in text
        assert "it was altered. Nothing was installed." in text
        assert "it was cut or altered. Nothing was installed." in text


def test_the_powershell_script_makes_private_folders_private_at_once() -> None:
    text = POWERSHELL.read_text()
    # Owner and group are the administrators; nothing is inherited; they and the system alone.
    assert "'O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)'" in text
    assert "New-PrivateFolder $data" in text
    assert text.index("CreateDirectory($Folder, $security)") < text.index("belongs to another user")


@BOTH
def test_a_token_of_its_own_asks_for_an_identity_of_its_own(script: Path) -> None:
    # Half of the SHA-256 stands beside the former id; run for the shell's in the e2e tests.
    fingerprint = {SHELL: "${found:0:32}", POWERSHELL: ".Substring(0, 32)"}[script]
    assert fingerprint in script.read_text()


def test_the_powershell_script_forgets_the_old_state_before_it_starts_the_service() -> None:
    text = POWERSHELL.read_text()
    assert text.index("\n    Remove-State\n") < text.index("@('service', 'install'")


def test_the_powershell_script_gives_the_agent_a_copy_of_the_bundle() -> None:
    text = POWERSHELL.read_text()
    assert "Copy-Item -LiteralPath $bundle -Destination $caFile" in text
    assert "Add-Setting 'ROLLCALL_CA_BUNDLE' $caFile" in text


def test_the_powershell_script_has_the_switches_and_reasons_of_the_other() -> None:
    shell, powershell = SHELL.read_text(), POWERSHELL.read_text()
    named = re.search(r"readonly SWITCHES='([^']*)'", shell)
    assert named is not None
    line = next(line for line in powershell.splitlines() if "$switches = " in line)
    assert re.findall(r"'(\w+)'", line) == named[1].split()
    assert "must be 1, true, yes or on, or 0, false, no or off. Next: correct it in" in powershell
    for reason in set(ENV_FILE_REASONS.values()):
        assert reason in shell
        assert reason in powershell


def test_the_powershell_script_looks_at_switches_and_files_before_it_does_anything() -> None:
    text = POWERSHELL.read_text()
    body = text[text.index("    # Taken out of what every program below") :]
    order = ["Assert-Switches", "Remove-Agent", "Assert-Url", "Get-AgentId", "Get-EnrollmentToken",
             "Assert-Admitted", "Save-Download", "Install-Binary", "'enroll'"]  # fmt: skip
    places = [body.index(word) for word in order]
    assert places == sorted(places)
