"""install.sh reads env files and token files as the agent does, by the vectors that both share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.install.script_functions import call
from tests.vectors.reading import (
    ENV_FILE_REASONS,
    ENV_FILES,
    TOKEN_FILE_REASONS,
    TOKEN_FILES,
    Case,
    content_of,
    name_of,
)

ENV_FILE_DRIVER = r"""
note() { refused=$1; }
for config in "$@"; do
  refused=''
  read_env_file note
  if [ -n "$refused" ]; then printf '%s' "refused $refused"; else
    for name in $(printf '%s\n' ${names[@]+"${names[@]}"}); do
      printf '%s=%s\n' "$name" "$(env_value "$name")"
    done
  fi
  printf '\0'
done
"""
TOKEN_DRIVER = r"""
for file in "$@"; do
  slurp_token_file "$file"
  [ -n "$fault" ] || read_token
  if [ -n "$fault" ]; then
    printf 'refused%s: %s\0' "${number:+, line $number}" "$(reason_of "$fault")"
  else printf '%s\0' "$value"; fi
done
"""


def _written(folder: Path, cases: list[Case]) -> list[str]:
    paths = [folder / str(number) for number in range(len(cases))]
    for path, case in zip(paths, cases, strict=True):
        path.write_bytes(content_of(case))
        path.chmod(0o600)
    return [str(path) for path in paths]


@pytest.fixture(scope="module")
def env_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the script finds in each env file, by the name of its case."""
    folder = tmp_path_factory.mktemp("env")
    found = call(ENV_FILE_DRIVER, *_written(folder, ENV_FILES))
    return dict(zip(map(name_of, ENV_FILES), found, strict=True))


@pytest.fixture(scope="module")
def token_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the script finds in each token file, by the name of its case."""
    folder = tmp_path_factory.mktemp("token")
    found = call(TOKEN_DRIVER, *_written(folder, TOKEN_FILES))
    return dict(zip(map(name_of, TOKEN_FILES), found, strict=True))


@pytest.mark.parametrize("case", ENV_FILES, ids=name_of)
def test_an_env_file_means_to_the_script_what_it_means_to_the_agent(
    env_files: dict[str, str], case: Case
) -> None:
    found = env_files[name_of(case)]
    if "refused" in case:
        reason = ENV_FILE_REASONS[case["refused"]["reason"]]
        assert f", line {case['refused']['line']}: {reason}. Next: correct that line" in found
        return
    values = dict(line.split("=", 1) for line in found.splitlines())
    assert {name: values.get(name) or None for name in case["values"]} == case["values"]


@pytest.mark.parametrize("case", TOKEN_FILES, ids=name_of)
def test_a_token_file_means_to_the_script_what_it_means_to_the_agent(
    token_files: dict[str, str], case: Case
) -> None:
    found = token_files[name_of(case)]
    if "refused" in case:
        line = case["refused"]["line"]
        reason = TOKEN_FILE_REASONS[case["refused"]["reason"]]
        assert found == f"refused{'' if line is None else f', line {line}'}: {reason}"
        return
    assert found == case["token"]


def test_what_the_script_writes_down_it_reads_again(tmp_path: Path) -> None:
    odd = [
        "plain",
        "a b",
        "a  #b",
        "it's",
        'say "x"',
        "back\\slash\\",
        "$HOME `id`",
        "Zürich",
        "",
        " x ",
    ]
    config = tmp_path / "agent.env"
    config.write_text("# no newline at the end")
    driver = (
        'config=$1; shift; read_env_file; count=0; for value in "$@"; do count=$((count + 1));'
        ' remember "ROLLCALL_X$count" "$value"; done; read_env_file;'
        " for ((count = 1; count <= $#; count++)); do"
        ' env_value "ROLLCALL_X$count"; printf "\\0"; done'
    )
    assert call(driver, str(config), *odd) == odd
