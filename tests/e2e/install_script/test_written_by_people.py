"""Files that people and their editors wrote: understood, or refused before anything is done."""

from __future__ import annotations

import pytest

from tests.e2e.install_script.host import TOKEN, Host, text_of

BOM = b"\xef\xbb\xbf"
UNREADABLE = {
    "UTF-16": "ROLLCALL_AGENT_ID=agt_1\n".encode("utf-16"),
    "NUL bytes": b"ROLLCALL_AGENT_ID=agt_1\n\0\0\0",
    "an unclosed quote": b'ROLLCALL_AGENT_ID="agt_1\nROLLCALL_AGENT_API_KEY=rca_1\n',
    "a colon": b"ROLLCALL_AGENT_ID: agt_1\nROLLCALL_AGENT_API_KEY=rca_1\n",
    "a shell of Windows": b"set ROLLCALL_AGENT_ID=agt_1\n",
    "typographic quotes": "ROLLCALL_AGENT_API_KEY=“rca_1”\n".encode(),
    "a no-break space": "ROLLCALL_AGENT_ID=agt_1\u00a0\n".encode(),
    "carriage returns alone": b"ROLLCALL_AGENT_ID=agt_1\rROLLCALL_AGENT_API_KEY=rca_1\r",
    "a backslash at the end": b"ROLLCALL_AGENT_API_KEY=rca_\\\n1\n",
    "an old system's name": b"RM_AGENT_TOKEN 'x'\n",
}
KEY = b"ROLLCALL_AGENT_API_KEY=rca_1\n"
ENROLLED = {
    "a byte-order mark": BOM + b"ROLLCALL_AGENT_ID=agt_1\n" + KEY,
    "CRLF": b"ROLLCALL_AGENT_ID=agt_1\r\nROLLCALL_AGENT_API_KEY=rca_1\r\n",
    "quotes and comments": b"export ROLLCALL_AGENT_ID='agt_1' # ours\nRM_AGENT_TOKEN = \"rca_1\"\n",
    "blank lines": b"\n\t\nROLLCALL_AGENT_ID=agt_1\n\n" + KEY,
    "strange lines of others": b'FOO="open\n[x]\nROLLCALL_AGENT_ID=agt_1\n' + KEY.rstrip(),
    "a later line": b"ROLLCALL_AGENT_ID=agt_0\nROLLCALL_AGENT_ID=agt_1\n" + KEY,
}


@pytest.mark.parametrize("force", ["0", "1"])
@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_host_whose_file_cannot_be_read_is_not_taken_for_a_new_one(
    host: Host, kind: str, force: str
) -> None:
    host.config.parent.mkdir(parents=True)
    host.config.write_bytes(UNREADABLE[kind])
    result = host.install(ROLLCALL_FORCE_REENROLL=force)
    assert result.returncode == 2
    assert f"{host.config}, line " in result.stderr
    assert "Nothing was changed" in result.stderr
    assert host.plane.asked == []
    assert host.config.read_bytes() == UNREADABLE[kind]
    assert not host.binary.exists()


@pytest.mark.parametrize("kind", ENROLLED)
def test_a_host_whose_file_was_edited_is_enrolled_all_the_same(host: Host, kind: str) -> None:
    host.config.parent.mkdir(parents=True)
    host.config.write_bytes(ENROLLED[kind])
    host.write("usr/local/bin/rollcall-agent", "#!/bin/sh\n").chmod(0o755)
    result = host.install()
    assert result.returncode == 0, result.stderr
    assert "enrolled already as agt_1; nothing was changed" in result.stdout
    assert host.config.read_bytes() == ENROLLED[kind]
    assert host.plane.asked == []


def test_a_folder_in_the_files_place_is_refused(host: Host) -> None:
    host.config.mkdir(parents=True)
    result = host.install()
    assert result.returncode == 2
    assert f"{host.config} is not a regular file" in result.stderr
    assert host.plane.asked == []


def test_an_uninstall_does_not_need_the_file_but_says_what_is_wrong(host: Host) -> None:
    assert host.install().returncode == 0
    host.config.write_bytes(UNREADABLE["a colon"])
    told = host.install("--uninstall", "--decommission", token=None)
    assert told.returncode == 2
    assert host.binary.exists()
    result = host.install("--uninstall", token=None)
    assert result.returncode == 0, result.stderr
    assert f"{host.config}, line 1: it is not NAME=VALUE" in result.stderr
    assert not host.binary.exists()


@pytest.mark.parametrize(
    "content",
    [
        BOM + TOKEN.encode(),
        f"\n \r\n# minted\n  '{TOKEN}' # web-1\r\n".encode(),
        f'export ROLLCALL_TOKEN="{TOKEN}"\n'.encode(),
        f"BACKEND_URL=https://x\nINSTALL_TOKEN={TOKEN}\n".encode(),
    ],
    ids=["a byte-order mark", "lines around it", "an assignment", "a whole env file"],
)
def test_a_token_file_may_be_written_by_an_editor(host: Host, content: bytes) -> None:
    file = host.token_file()
    file.write_bytes(content)
    result = host.install("--token-file", str(file), token=None)
    assert result.returncode == 0, result.stderr
    assert host.plane.checked[0][0] == f"Bearer {TOKEN}"
    assert host.spent() == [TOKEN]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (TOKEN.encode("utf-16"), ", line 1: the file is UTF-16; save it as UTF-8."),
        (f"{TOKEN}\nrce_b\n".encode(), ", line 2: there is more than one token."),
        (f"\n{TOKEN} x\n".encode(), ", line 2: there are blanks in the token."),
        (f'"{TOKEN}\n'.encode(), ", line 1: a quote is not closed."),
        (f"{TOKEN}\u200b\n".encode(), ", line 1: it holds an invisible character"),
        (b"# nothing\n", ": there is no token."),
        (b"rca_key-of-an-agent\n", "is not an enrollment token (they start with rce_)"),
        (f"{TOKEN}!\n".encode(), "is not an enrollment token"),
        (b"rce_" + b"x" * 70_000, "is too large to hold a token alone"),
    ],
    ids=range(9),
)
def test_a_token_file_that_cannot_be_used_is_refused_at_once(
    host: Host, content: bytes, reason: str
) -> None:
    file = host.token_file()
    file.write_bytes(content)
    result = host.install("--token-file", str(file), token=None)
    assert result.returncode == 2
    assert str(file) in result.stderr
    assert reason in result.stderr
    assert TOKEN not in text_of(result)
    assert host.plane.asked == []


def test_a_token_where_its_file_is_expected_is_not_repeated(host: Host) -> None:
    result = host.install("--token-file", TOKEN, token=None)
    assert result.returncode == 2
    assert TOKEN not in text_of(result)
    assert host.install("--token-file", str(host.root), token=None).returncode == 2
    assert host.install("--token-file", "/nowhere", token=None).returncode == 2


@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_a_token_of_the_environment_and_of_the_env_file_are_read_the_same(
    host: Host, quote: str
) -> None:
    assert host.install(token=None, RM_TOKEN=f" {quote}{TOKEN}{quote}\n").returncode == 0
    assert host.plane.checked[0][0] == f"Bearer {TOKEN}"


def test_a_ca_bundle_that_is_none_is_refused_at_once(host: Host) -> None:
    bundle = host.root / "ca.pem"
    for content in (b"", b"no certificate\n", "-----BEGIN CERTIFICATE-----".encode("utf-16")):
        bundle.write_bytes(content)
        result = host.install(ROLLCALL_CA_BUNDLE=str(bundle))
        assert result.returncode == 2
        assert f"ROLLCALL_CA_BUNDLE ({bundle})" in result.stderr
    assert host.plane.asked == []
