"""`publish-agent`: binaries of the agent, with a signed manifest that names them all.

The order makes it safe to be broken off: binaries first, then the manifest of the version, and
last, with one write, the copy of it that says which version is in force.
"""

from __future__ import annotations

import hashlib
import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from chalicelib.release_manifest import (
    LARGEST,
    LATEST,
    VERSION,
    Binary,
    Manifest,
    Platform,
    fingerprint,
    platform_of,
    unsigned,
)
from infra import release_key, stack
from infra.console import Say, say
from infra.errors import DeployError
from infra.release_store import Published, ReleaseStore
from infra.target import Target

_ATTEMPTS = 10
_FILE_NAME = re.compile(r"rollcall-agent-(?P<os>[a-z0-9]+)-(?P<arch>[a-z0-9_]+)(\.exe)?")


@dataclass(frozen=True)
class Measured:
    """A file that is to be published, and what the manifest is to say of it."""

    path: Path
    binary: Binary


Files = Mapping[Platform, Measured]


def add_arguments(parser: ArgumentParser) -> None:
    """The options of `python -m infra publish-agent`."""
    parser.add_argument("--stage", required=True, help="name of the stage, such as prod")
    parser.add_argument("--version", required=True, help="of the agent, such as 0.2.0")
    parser.add_argument(
        "--not-latest",
        action="store_true",
        help="leave the version in force that hosts get when they ask for none",
    )
    parser.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="OS/ARCH=PATH",
        help="a binary whose name does not say what it is for; may be repeated",
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="binaries named rollcall-agent-<os>-<arch>[.exe], as `make agent` makes them; "
        "with none, a version that was published before is put in force again",
    )


def run(args: Namespace) -> int:
    """Publish with the credentials of the environment."""
    try:
        files = measured(args.files, args.file)
        target = Target(args.stage, os.environ)
        publish(target, args.version, files, latest=not args.not_latest)
    except DeployError as error:
        say(f"publish-agent: {error}")
        return 1
    return 0


def measured(paths: Sequence[Path], named: Sequence[str]) -> dict[Platform, Measured]:
    """The files by what they run on, with size and SHA-256.

    Args:
        paths: files whose names say what they are for.
        named: others, as `OS/ARCH=PATH`.

    Raises:
        DeployError: a platform is unknown or named twice, or a file cannot be read.
    """
    found: dict[Platform, Measured] = {}
    for platform, path in [*map(_by_name, paths), *map(_by_option, named)]:
        if platform in found:
            raise DeployError(f"two files are for {platform}")
        found[platform] = Measured(path, _measure(path))
    return found


def _by_name(path: Path) -> tuple[Platform, Path]:
    match = _FILE_NAME.fullmatch(path.name)
    platform = platform_of(match["os"], match["arch"]) if match else None
    if platform is None:
        raise DeployError(
            f"{path.name} does not say what it is for: name it rollcall-agent-<os>-<arch>, or "
            f"give it as --file <os>/<arch>={path}"
        )
    return platform, path


def _by_option(text: str) -> tuple[Platform, Path]:
    place, _, path = text.partition("=")
    system, _, architecture = place.partition("/")
    platform = platform_of(system, architecture)
    if platform is None or not path:
        raise DeployError(
            f"--file {text}: say <os>/<arch>=<path>, with linux, darwin or windows, and x86_64 "
            "or arm64"
        )
    return platform, Path(path)


def _measure(path: Path) -> Binary:
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256")
            size = content.tell()
    except OSError as error:
        raise DeployError(f"{path} cannot be read: {error.strerror}") from error
    if size == 0:
        raise DeployError(f"{path} is empty")
    return Binary(size, digest.hexdigest())


def publish(
    target: Target, version: str, files: Files, *, latest: bool = True, say: Say = say
) -> Manifest:
    """Publish binaries as a version, or put a published version in force. Safe to repeat.

    Args:
        target: the stage.
        version: of the agent.
        files: what to add to it; platforms that it has already stay in it.
        latest: whether it is to be in force.
        say: takes the lines that tell what is done.

    Raises:
        DeployError: it cannot be done, or the version was published with other bytes.
    """
    if version == LATEST or not VERSION.fullmatch(version):
        raise DeployError(f"{version!r} cannot be a version: 1 to 64 of 0-9 A-Z a-z . + -")
    present = stack.describe(target)
    if present is None:
        raise DeployError(f"stage {target.stage} is not deployed; deploy it first")
    outputs = stack.outputs(present)
    store = ReleaseStore(target, outputs["BucketName"])
    key = release_key.public_key(target, outputs)
    found = store.find(version)
    _refuse(version, found, files, key)
    _upload(store, version, files, say)
    manifest = _manifest(store, version, found, files, key)
    if found is not None and found.manifest.signed == manifest.signed:
        manifest = found.manifest
    else:
        manifest = _signed(target, outputs, manifest)
        store.publish(manifest, found)
    say(f"published {version}: {', '.join(manifest.platforms)}")
    if latest:
        _put_in_force(store, version, key)
        say(f"in force: {version}")
    say(f"release key: {fingerprint(key)}")
    return manifest


def _manifest(
    store: ReleaseStore, version: str, found: Published | None, files: Files, key: bytes
) -> Manifest:
    """What the version is to have, unsigned: what it had and what comes to it, all of it there."""
    binaries = {**(found.manifest.binaries if found else {}), **_binaries(files)}
    for platform, binary in binaries.items():
        if not store.holds(version, platform, binary):
            raise DeployError(f"the bucket does not hold the binary for {platform}; give it again")
    return unsigned(version, binaries, key)


def _put_in_force(store: ReleaseStore, version: str, key: bytes) -> None:
    """Put the version in force as the bucket has it: others may be adding platforms to it."""
    for _ in range(_ATTEMPTS):
        # In this order: who puts a later manifest in force after this look makes the write fail,
        # and who did so before it has written that manifest, which is read next.
        in_force = store.etag_in_force()
        found = _checked(store.find(version), version, key)
        if store.put_in_force(found.manifest, in_force):
            now = store.find(version)
            if now is not None and now.etag == found.etag:
                return
    raise DeployError(
        f"others publish at the same time; {version} may not be in force: run it again"
    )


def _checked(found: Published | None, version: str, key: bytes) -> Published:
    if found is None:
        raise DeployError(f"{version} was taken away meanwhile")
    _refuse(version, found, {}, key)
    return found


def _refuse(version: str, found: Published | None, files: Files, key: bytes) -> None:
    if found is None:
        if not files:
            raise DeployError(f"{version} was not published, and no file was given")
        return
    was = found.manifest
    if was.version != version or was.public_key != key:
        raise DeployError(f"{version} was published with another key; choose another version")
    if not release_key.verifies(was, was.signature):
        raise DeployError(f"the manifest of {version} in the bucket was changed; look into that")
    for platform, file in files.items():
        if was.binaries.get(platform, file.binary) != file.binary:
            raise DeployError(
                f"{version} was published for {platform} with other bytes, and hosts may have "
                "them; choose another version"
            )


def _upload(store: ReleaseStore, version: str, files: Files, say: Say) -> None:
    for platform, file in files.items():
        if store.holds(version, platform, file.binary):
            continue
        say(f"uploading {platform}: {file.binary.size} bytes")
        store.upload(version, platform, file.binary, file.path)


def _binaries(files: Files) -> dict[Platform, Binary]:
    return {platform: file.binary for platform, file in files.items()}


def _signed(target: Target, outputs: Mapping[str, str], manifest: Manifest) -> Manifest:
    signature = release_key.sign(target, outputs, manifest)
    made = msgspec.structs.replace(manifest, signature=signature)
    if len(made.content) > LARGEST:
        raise DeployError("the manifest is too large")
    return made
