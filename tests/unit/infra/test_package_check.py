import hashlib
import marshal
import sys
import zipfile
from pathlib import Path

import pytest

from infra import byte_code
from infra.errors import DeployError
from infra.package import build, faults, required

REQUIREMENTS = (
    "# by a tool\nboto3==1.0 \\\n    --hash=sha256:00\n    # via x\nAws_Lambda.powertools==3\n"
)

UNCHECKED_HASH = b"\x01\0\0\0"  # PEP 552: by hash, and not looked at


def a_package(path: Path, *, without: str = "") -> Path:
    names = [
        "app.py",
        "chalice/app.py",
        "chalicelib/__init__.py",
        "boto3-1.0.dist-info/METADATA",
        "boto3/__init__.py",
        "aws_lambda_powertools-3.dist-info/METADATA",
    ]
    return a_zip(path, [name for name in names if not (without and name.startswith(without))])


def a_zip(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), f"# {name}\n")
    byte_code.add(path)
    return path


def contents(package: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(package) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_names_of_requirements_are_read_from_a_locked_file() -> None:
    assert required(REQUIREMENTS) == {"boto3", "aws-lambda-powertools"}
    assert required("a[b]>=1\nC ; python_version<'4'\n--index-url x\n-r y\n") == {"a", "c"}


def test_a_complete_package_has_no_faults(tmp_path: Path) -> None:
    assert faults(a_package(tmp_path / "x.zip"), REQUIREMENTS) == []


@pytest.mark.parametrize("part", ["app.py", "chalice/app.py", "chalicelib/"])
def test_a_missing_part_is_named(tmp_path: Path, part: str) -> None:
    (fault,) = faults(a_package(tmp_path / "x.zip", without=part), REQUIREMENTS)
    assert part in fault


def test_a_missing_requirement_is_named(tmp_path: Path) -> None:
    package = a_package(tmp_path / "x.zip", without="boto3-1.0")
    assert faults(package, REQUIREMENTS) == ["requirement boto3 is missing"]


def test_no_requirements_at_all_is_a_fault(tmp_path: Path) -> None:
    assert faults(a_package(tmp_path / "x.zip"), "# nothing\n")


def test_a_truncated_package_is_a_fault(tmp_path: Path) -> None:
    package = a_package(tmp_path / "x.zip")
    package.write_bytes(package.read_bytes()[:-30])
    (fault,) = faults(package, REQUIREMENTS)
    assert "cannot be read" in fault


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "chalicelib").mkdir(parents=True)
    (root / "app.py").write_text("app = 'new'\n")
    (root / "chalicelib" / "__init__.py").write_text("")
    (root / "requirements.txt").write_text(REQUIREMENTS)
    return root


def a_cached_package(cache: Path) -> Path:
    """The dependencies alone, as an earlier build left them."""
    cache.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(REQUIREMENTS.encode()).hexdigest()[:32]
    names = [
        "boto3-1.0.dist-info/METADATA",
        "boto3/__init__.py",
        "aws_lambda_powertools-3.dist-info/METADATA",
    ]
    return a_zip(cache / f"{digest}-{sys.implementation.cache_tag}.zip", names)


def test_the_same_requirements_are_not_downloaded_again(project: Path, tmp_path: Path) -> None:
    a_cached_package(tmp_path / "cache")
    package = build(project, tmp_path / "cache")
    with zipfile.ZipFile(package) as archive:
        assert archive.read("app.py") == b"app = 'new'\n"
        assert archive.read("boto3/__init__.py") == b"# boto3/__init__.py\n"
    assert faults(package, REQUIREMENTS) == []


def test_a_truncated_package_of_an_interrupted_build_is_built_again(
    project: Path, tmp_path: Path
) -> None:
    a_cached_package(tmp_path / "cache")
    package = build(project, tmp_path / "cache")
    package.write_bytes(b"PK")
    assert faults(build(project, tmp_path / "cache"), REQUIREMENTS) == []


def test_only_the_current_package_stays(project: Path, tmp_path: Path) -> None:
    a_cached_package(tmp_path / "cache")
    first = build(project, tmp_path / "cache")
    (project / "app.py").write_text("app = 'newer'\n")
    second = build(project, tmp_path / "cache")
    assert first != second
    assert list(second.parent.iterdir()) == [second]


def test_a_package_that_cannot_be_completed_is_not_left_for_chalice_to_upload(
    project: Path, tmp_path: Path
) -> None:
    (project / "requirements.txt").write_text("# nothing\n")
    with pytest.raises(DeployError, match="asks for nothing"):
        build(project, tmp_path / "cache")
    assert not list((project / ".chalice" / "deployments").glob("*.zip"))


def test_every_module_has_byte_code_that_is_taken_without_a_look_at_its_source(
    project: Path, tmp_path: Path
) -> None:
    a_cached_package(tmp_path / "cache")
    found = contents(build(project, tmp_path / "cache"))
    sources = {name for name in found if name.endswith(".py")}
    assert {"app.py", "boto3/__init__.py", "chalice/app.py"} <= sources
    compiled = {name: found[byte_code.compiled_name(name)] for name in sources}
    assert {code[4:8] for code in compiled.values()} == {UNCHECKED_HASH}
    assert len(found) == len(sources) * 2 + 2


def test_byte_code_is_of_the_source_beside_it_after_a_change(project: Path, tmp_path: Path) -> None:
    a_cached_package(tmp_path / "cache")
    build(project, tmp_path / "cache")
    (project / "app.py").write_text("app = 'newer'\n")
    found = contents(build(project, tmp_path / "cache"))
    code = marshal.loads(found[byte_code.compiled_name("app.py")][16:])  # noqa: S302
    assert "newer" in code.co_consts
    assert code.co_filename == "/var/task/app.py"


def test_the_same_sources_make_the_same_package(project: Path, tmp_path: Path) -> None:
    a_cached_package(tmp_path / "cache")
    package = build(project, tmp_path / "cache")
    first = package.read_bytes()
    package.unlink()
    assert build(project, tmp_path / "cache").read_bytes() == first


def test_a_package_without_byte_code_is_built_again(project: Path, tmp_path: Path) -> None:
    a_cached_package(tmp_path / "cache")
    package = build(project, tmp_path / "cache")
    complete = contents(package)
    with zipfile.ZipFile(package, "w") as archive:
        for name, content in complete.items():
            if name != byte_code.compiled_name("app.py"):
                archive.writestr(name, content)
    assert faults(package, REQUIREMENTS) == ["app.py has no byte code"]
    assert contents(build(project, tmp_path / "cache")) == complete


def test_a_source_that_does_not_compile_is_named(project: Path, tmp_path: Path) -> None:
    a_cached_package(tmp_path / "cache")
    (project / "app.py").write_text("def (\n")
    with pytest.raises(DeployError, match=r"does not compile.*app\.py"):
        build(project, tmp_path / "cache")
    assert not list((project / ".chalice" / "deployments").glob("*.zip"))
