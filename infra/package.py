"""Builds and checks the deployment package before anything is uploaded.

Chalice's own packager does the work, under the name that `chalice deploy` looks for. What is added
is what it lacks: it goes on without the requirements that it could not get, takes a truncated zip
for a finished one, downloads every dependency again when a line of the application changes, and
leaves out the byte code, which Lambda can write nowhere.
"""

import hashlib
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

from chalice.config import Config
from chalice.deploy.packager import DependencyBuilder, LambdaDeploymentPackager
from chalice.utils import UI, OSUtils

from infra import byte_code
from infra.console import say
from infra.errors import DeployError

_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*[=<>~!;]*")
# What Chalice's packager puts in anew each time.
_APPLICATION = ("app.py", "chalice/", "chalicelib/")
_MOST_NAMED = 3
_PARTS = ("app.py", "chalice/app.py", "chalicelib/__init__.py")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(requirements: str) -> set[str]:
    """Names of the distributions that a requirements file asks for."""
    names = set()
    for line in requirements.splitlines():
        match = _REQUIREMENT.match(line)
        if match:
            names.add(_normal(match.group(1)))
    return names


def faults(package: Path, requirements: str, *, compiled: bool = True) -> list[str]:
    """What a package lacks; empty if it is complete.

    Args:
        package: the zip.
        requirements: what was to be installed.
        compiled: whether it must have its byte code by now.
    """
    try:
        names = _undamaged(package)
    except (OSError, zipfile.BadZipFile) as error:
        return [f"it cannot be read: {error}"]
    lacking = byte_code.lacking(names)[:_MOST_NAMED] if compiled else []
    return _missing(names, requirements) + [f"{name} has no byte code" for name in lacking]


def _undamaged(package: Path) -> list[str]:
    with zipfile.ZipFile(package) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")
        return archive.namelist()


def _missing(names: list[str], requirements: str) -> list[str]:
    found = [f"{part} is missing" for part in _PARTS if part not in names]
    tops = {name.split("/", 1)[0] for name in names}
    infos = {top.removesuffix(".dist-info") for top in tops if top.endswith(".dist-info")}
    present = {_normal(info.rsplit("-", 1)[0]) for info in infos}
    needed = required(requirements)
    found += [f"requirement {name} is missing" for name in sorted(needed - present)]
    if not needed:
        found.append("requirements.txt asks for nothing")
    return found


def build(project: Path, cache: Path) -> Path:
    """Make sure that the package of a staged project exists and is complete.

    Args:
        project: the staged project.
        cache: where packages are kept by their requirements, so that only a change of these
            downloads anything.

    Raises:
        DeployError: the package is not complete; nothing was uploaded.
    """
    osutils = OSUtils()
    packager = LambdaDeploymentPackager(
        osutils=osutils, dependency_builder=DependencyBuilder(osutils), ui=UI()
    )
    version = Config.create().lambda_python_version
    requirements = (project / "requirements.txt").read_text("utf-8")
    wanted = Path(packager.deployment_package_filename(str(project), version))
    if not wanted.exists() or faults(wanted, requirements):
        wanted.unlink(missing_ok=True)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(requirements.encode()).hexdigest()[:32]
        base = cache / f"{digest}-{sys.implementation.cache_tag}.zip"
        if not _is_usable(base):
            packager.create_deployment_package(str(project), version)
            _refuse(wanted, faults(wanted, requirements, compiled=False))
            _keep_dependencies(wanted, base)
        partial = wanted.with_suffix(".partial")
        shutil.copyfile(base, partial)
        packager.inject_latest_app(str(partial), str(project))
        byte_code.add(partial)
        partial.replace(wanted)
    _refuse(wanted, faults(wanted, requirements))
    _drop_others(wanted)
    return wanted


def _refuse(package: Path, missing: list[str]) -> None:
    if missing:
        package.unlink(missing_ok=True)
        raise DeployError("the deployment package is not complete: " + "; ".join(missing))


def _is_usable(base: Path) -> bool:
    try:
        return not byte_code.lacking(_undamaged(base))
    except (OSError, zipfile.BadZipFile):
        return False


def _keep_dependencies(package: Path, base: Path) -> None:
    """Everything but the application, in the order of names and with its byte code.

    The application must not be in it: byte code that nothing checks, of an older source, would
    run instead of the new one.
    """
    base.parent.mkdir(parents=True, exist_ok=True)
    partial = base.with_suffix(f".{os.getpid()}")
    with (
        zipfile.ZipFile(package) as source,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as kept,
    ):
        for name in sorted(source.namelist()):
            if not name.startswith(_APPLICATION):
                kept.writestr(source.getinfo(name), source.read(name))
    byte_code.add(partial)
    partial.replace(base)


def _drop_others(package: Path) -> None:
    for other in package.parent.iterdir():
        if other != package and other.is_file():
            other.unlink()


def main() -> int:
    """Build the package of the project in the first argument, cached in the second."""
    project, cache = (Path(argument) for argument in sys.argv[1:3])
    try:
        package = build(project, cache)
    except DeployError as error:
        say(str(error))
        return 1
    say(f"Package is complete: {package.name}, {package.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
