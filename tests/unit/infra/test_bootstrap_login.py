from argparse import ArgumentParser
from pathlib import Path

import pytest

from chalicelib.credentials.password import check_new
from infra import bootstrap
from infra.errors import DeployError


def test_a_password_that_is_made_can_be_used_and_is_another_each_time() -> None:
    first, second = bootstrap._password(None), bootstrap._password(None)
    check_new(first, "password")
    assert first != second


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_is_what_its_file_holds_but_for_the_end_of_the_line(
    tmp_path: Path, end: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(f" correct horse ü {end}".encode())
    assert bootstrap._password(file) == " correct horse ü "


def test_a_file_that_cannot_be_read_is_said_without_what_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"canary\xff")
    for bad in (file, tmp_path / "none"):
        with pytest.raises(DeployError) as refused:
            bootstrap._password(bad)
        assert "canary" not in str(refused.value)


def test_the_first_admin_is_called_admin_unless_told_otherwise() -> None:
    parser = ArgumentParser()
    bootstrap.add_arguments(parser)
    usual = parser.parse_args(["--stage", "prod", "--output", "x"])
    assert (usual.admin, usual.admin_password_file) == ("admin", None)
    other = parser.parse_args(["--stage", "prod", "--output", "x", "--admin", "ada"])
    assert other.admin == "ada"
