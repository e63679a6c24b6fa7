"""The package that the deployer builds, imported by a bare interpreter, as Lambda does."""

from __future__ import annotations

import json
import marshal
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infra import byte_code, template
from infra.deploy import ROOT
from infra.package import build, faults, required
from infra.project import environment
from infra.target import Target
from tests.contract import bare

CONFIG: dict[str, Any] = json.loads((ROOT / ".chalice" / "config.json").read_text("utf-8"))
CACHE = ROOT / "build" / "packages"
SOURCES = ("app.py", "chalicelib", "requirements.txt")
# What only other requests need: each of these would cost a heartbeat's cold start its time.
NOT_AT_START = {
    "argon2",
    "boto3",
    "cffi",
    "chalice.cli",
    "cryptography",
    "joserfc",
    "jwt",
    "pip",
    "s3transfer",
}


def staged(folder: Path) -> Path:
    """The sources as the deployer stages them; what it renders is not in the package."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished zip."""
    return build(staged(tmp_path_factory.mktemp("package") / "project"), CACHE)


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Lambda unpacks it to."""
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    return folder


def test_it_exposes_the_app_and_every_configured_handler(unpacked: Path) -> None:
    seen = bare.run(
        unpacked,
        "from chalice.app import EventSourceHandler as H\n"
        "handlers = {n: getattr(app, n) for n, h in app.app.handler_map.items()"
        " if isinstance(h, H)}\n"
        "seen.update(name=app.app.app_name, callable=callable(app.app), routes=len(app.app.routes),"
        " handlers=sorted(n for n, h in handlers.items() if callable(h)))",
    )
    configured = sorted(CONFIG["lambda_functions"])
    assert sorted([*seen["handlers"], "api_handler"]) == configured
    assert seen["name"] == CONFIG["app_name"]
    assert seen["callable"] is True
    assert seen["routes"] > 10


def test_everything_it_loads_comes_out_of_the_zip(unpacked: Path) -> None:
    seen = bare.run(
        unpacked,
        "import boto3, cryptography.x509\n"
        "from aws_lambda_powertools.utilities import parameters\n"
        "roots = ('app', 'boto3', 'botocore', 'chalice', 'chalicelib', 'cryptography', 'msgspec',"
        " 'pynamodb', 'itsdangerous', 'aws_lambda_powertools', 's3transfer', 'urllib3')\n"
        "seen.update({n: sys.modules[n].__file__ for n in roots})\n"
        "foreign = [n for n, m in sys.modules.items()"
        " if 'site-packages' in str(getattr(m, '__file__', ''))]\n"
        "seen['foreign'] = foreign",
    )
    assert seen.pop("foreign") == []
    assert all(Path(file).is_relative_to(unpacked) for file in seen.values()), seen


def test_importing_it_loads_nothing_that_a_heartbeat_does_not_need(unpacked: Path) -> None:
    seen = bare.run(unpacked, "seen['modules'] = sorted(sys.modules)")
    assert NOT_AT_START & set(seen["modules"]) == set()
    assert "chalicelib.flows.heartbeat" in seen["modules"]


def test_every_module_of_the_application_can_be_imported(unpacked: Path) -> None:
    """Also those that a handler imports only when it needs them."""
    seen = bare.run(
        unpacked,
        "import importlib, pkgutil, chalicelib\n"
        "names = [m.name for m in pkgutil.walk_packages(chalicelib.__path__, 'chalicelib.')]\n"
        "seen['names'] = [importlib.import_module(n).__name__ for n in names]",
    )
    written = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for file in (ROOT / "chalicelib").rglob("*.py")
    }
    assert set(seen["names"]) == written - {"chalicelib"}


@pytest.mark.parametrize(
    "part", ["boto3", "chalice", "cryptography", "itsdangerous", "msgspec", "pynamodb", "app.py"]
)
def test_without_one_part_the_import_fails(unpacked: Path, tmp_path: Path, part: str) -> None:
    lacking = shutil.copytree(unpacked, tmp_path / "lacking", symlinks=True)
    gone = lacking / part
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    done = bare.run_raw(lacking, "import boto3, cryptography.x509")
    assert done.returncode != 0
    assert f"No module named '{part.removesuffix('.py')}" in done.stderr


def test_a_setting_that_is_missing_stops_the_import(unpacked: Path) -> None:
    done = bare.run_raw(unpacked, "pass", without="ROLLCALL_BUCKET")
    assert done.returncode != 0
    assert "ROLLCALL_BUCKET is not set" in done.stderr


def test_a_package_that_lacks_a_requirement_is_not_accepted(package: Path, tmp_path: Path) -> None:
    requirements = (ROOT / "requirements.txt").read_text("utf-8")
    names = sorted(required(requirements))
    assert {"boto3", "botocore", "cryptography", "msgspec", "pynamodb"} <= set(names)
    assert faults(package, requirements) == []
    for name in names:
        lacking = without(package, tmp_path / f"{name}.zip", name)
        assert faults(lacking, requirements) == [f"requirement {name} is missing"]
    # Chalice puts its own runtime in; no requirement names it.
    no_chalice = without(package, tmp_path / "no-chalice.zip", "chalice/app.py")
    assert faults(no_chalice, requirements) == ["chalice/app.py is missing"]


def without(source: Path, target: Path, part: str) -> Path:
    """Name the zip's files in a new one, except those of one part."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            top = name.partition("/")[0].lower().replace("_", "-")
            if name != part and not re.match(rf"{re.escape(part)}-\d", top):
                new.writestr(name, b"")
    return target


def test_nothing_but_the_application_and_its_requirements_is_in_it(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    unwanted = ("tests/", "infra/", "agent/", ".chalice/", ".local/", "docs/", ".env", ".git")
    assert [name for name in names if name.startswith(unwanted)] == []


def test_the_install_scripts_are_in_it(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        for name in ("install.sh", "install.ps1"):
            packed = archive.read(f"chalicelib/install/{name}")
            assert packed == (ROOT / "chalicelib" / "install" / name).read_bytes()
            assert b"@ROLLCALL_URL@" in packed
            assert b"@ROLLCALL_RELEASE_KEY_SHA256@" in packed


def test_no_module_is_compiled_in_a_cold_start(unpacked: Path) -> None:
    """What is imported comes out of the package's byte code, which nothing compares with."""
    seen = bare.run(
        unpacked,
        "from pathlib import Path\n"
        "own = [m for m in list(sys.modules.values())"
        " if str(getattr(m, '__file__', '')).startswith(sys.argv[1])"
        " and m.__file__.endswith('.py')]\n"
        "seen['modules'] = len(own)\n"
        "seen['without'] = [m.__name__ for m in own if not Path(m.__cached__).is_file()]\n"
        "seen['kinds'] = sorted({Path(m.__cached__).read_bytes()[4] for m in own})",
    )
    assert seen["modules"] > 200
    assert seen["without"] == []
    assert seen["kinds"] == [1], "unchecked-hash (PEP 552)"


def test_what_a_traceback_says_is_the_path_on_lambda(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        code = marshal.loads(archive.read(byte_code.compiled_name("app.py"))[16:])  # noqa: S302
    assert code.co_filename == "/var/task/app.py"


def test_it_fits_into_lambda_s_limit_for_a_zip(package: Path) -> None:
    assert package.stat().st_size < 50 * 2**20


def test_the_app_listens_to_streams_that_the_template_opens(unpacked: Path) -> None:
    """Each listener's setting, through the deployer's mapping, to the table behind it."""
    seen = bare.run(
        unpacked,
        "seen.update({s.name: s.stream_arn for s in app.app.event_sources"
        " if hasattr(s, 'stream_arn')})",
    )
    wired = listened_tables(template.load())
    listens = {
        function: wired[next(name for name, value in bare.SETTINGS.items() if value == arn)]
        for function, arn in seen.items()
    }
    assert {name: found["TableName"]["Fn::Sub"] for name, found in listens.items()} == {
        "publish_events": "rollcall-${Stage}-audit_records",
        "seal_evidence": "rollcall-${Stage}-audit_records",
        "run_jobs": "rollcall-${Stage}-jobs",
    }
    for found in listens.values():
        # Both workers read the new row and never the old one.
        assert found["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


def listened_tables(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The table whose stream each setting of the functions names."""
    outputs = document["Outputs"]
    target = Target("dev", {"AWS_REGION": "x"})
    rendered = environment(target, {name: name for name in outputs})
    return {
        setting: document["Resources"][value["Fn::GetAtt"][0]]["Properties"]
        for setting, output in rendered.items()
        if output in outputs
        and isinstance(value := outputs[output]["Value"], dict)
        and value.get("Fn::GetAtt", [""])[-1] == "StreamArn"
    }
