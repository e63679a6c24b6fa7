"""Bringing a release onto this host: fetched, verified, written and tried, but not yet in place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollcall_agent.binary_files import BinaryFiles
from rollcall_agent.downloads import DownloadError, Releases
from rollcall_agent.programs import Runner
from rollcall_agent.release_manifest import ManifestError, ReleaseFile, verified
from rollcall_agent.say import clean

_SHOWN: Final = 120


class StagingError(Exception):
    """The release is not on this host now, and another try may do better."""


class UnusableError(StagingError):
    """The release is genuine and does not work on this host."""


@dataclass(frozen=True)
class Staged:
    """A binary that is whole, genuine, and starts on this host."""

    version: str
    path: Path


@dataclass(frozen=True)
class Staging:
    """Stages releases for one platform.

    Attributes:
        pin: The fingerprint of the only key whose releases are taken.
    """

    releases: Releases
    files: BinaryFiles
    programs: Runner
    pin: str
    os: str
    arch: str

    def newest(self) -> str:
        """Return the newest version that there is."""
        try:
            return verified(self.releases.manifest(None), self.pin).version
        except (DownloadError, ManifestError) as error:
            raise StagingError(str(error)) from error

    def stage(self, version: str) -> Staged:
        """Stage a version.

        Raises:
            StagingError: It is not there, or cannot be trusted.
            UnusableError: It does not start on this host.
        """
        try:
            file = self._file_of(version)
            path = self.files.stage(version, self._checked(file, version))
        except (DownloadError, ManifestError) as error:
            raise StagingError(str(error)) from error
        except OSError as error:
            raise StagingError(f"it could not be written ({error.strerror})") from error
        self._try(path, version)
        return Staged(version, path)

    def _file_of(self, version: str) -> ReleaseFile:
        manifest = verified(self.releases.manifest(version), self.pin)
        if manifest.version != version:
            # A genuine manifest of another version: an old one with known holes, for example.
            raise ManifestError(f"the manifest is the one of {manifest.version}")
        return manifest.file_for(self.os, self.arch)

    def _checked(self, file: ReleaseFile, version: str) -> Iterator[bytes]:
        """Pass the binary on, and refuse its end where it is not what the manifest says."""
        digest, size = hashlib.sha256(), 0
        for block in self.releases.binary(file.os, file.arch, version):
            size += len(block)
            if size > file.size:
                raise DownloadError("the binary is larger than the manifest says")
            digest.update(block)
            yield block
        if size != file.size:
            raise DownloadError(f"the binary ended after {size} of {file.size} bytes")
        if digest.hexdigest() != file.sha256:
            raise DownloadError("the binary is not the one that the manifest names")

    def _try(self, path: Path, version: str) -> None:
        ran = self.programs.run([str(path), "version"])
        if ran.succeeded and ran.output.strip() == version:
            return
        with suppress(OSError):
            path.unlink(missing_ok=True)
        said = clean(ran.output, _SHOWN) or "nothing"
        raise UnusableError(
            f"it does not work on this host: `version` ended with {ran.code} and printed {said}"
        )
