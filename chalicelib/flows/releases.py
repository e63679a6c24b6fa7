"""Handing out agent releases: the manifest of a version, and where its binaries are."""

from collections.abc import Callable

from chalicelib.errors import NotFound, Unavailable
from chalicelib.release_manifest import (
    LATEST,
    Manifest,
    ManifestError,
    parsed,
    platform_of,
)
from chalicelib.store.release_bucket import ReleaseBucket

DOWNLOAD_SECONDS = 300
"""How long the address of a binary works."""

_KEPT_MS = 60_000
_MOST_KEPT = 16


class Releases:
    """The stage's releases, of which a worker keeps the manifests for a minute.

    Args:
        bucket: where they are.
        clock: milliseconds since the epoch.
    """

    def __init__(self, bucket: ReleaseBucket, clock: Callable[[], int]) -> None:
        self._bucket = bucket
        self._clock = clock
        self._kept: dict[str, tuple[int, Manifest]] = {}

    def manifest(self, version: str = LATEST) -> Manifest:
        """The manifest of a version, or of the one that is in force.

        Raises:
            NotFound: it was not published.
            Unavailable: S3 did not answer, or what it holds is no manifest.
        """
        now = self._clock()
        kept = self._kept.get(version)
        if kept is not None and 0 <= now - kept[0] < _KEPT_MS:
            return kept[1]
        # Only what is there is kept: a new release must not be held back by who asked too early.
        self._kept.pop(version, None)
        read = self._read(version)
        while len(self._kept) >= _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[version] = (now, read)
        return read

    def _read(self, version: str) -> Manifest:
        content = self._bucket.manifest(version)
        if content is None:
            raise _not_published(
                "No agent has been published."
                if version == LATEST
                else "This version of the agent has not been published.",
                [],
            )
        try:
            read = parsed(content)
        except ManifestError as error:
            raise _unreadable(version, str(error)) from error
        if version not in (LATEST, read.version):
            raise _unreadable(version, "it is of another version")
        return read

    def download(self, os: str, arch: str, version: str = LATEST) -> str:
        """The address of a binary, for `DOWNLOAD_SECONDS`.

        Raises:
            NotFound: it was not published; the platforms that were are in the answer.
            Unavailable: S3 did not answer.
        """
        manifest = self.manifest(version)
        platform = platform_of(os, arch)
        if platform is None or platform not in manifest.binaries:
            raise _not_published(
                "The agent has not been published for this platform.", manifest.platforms
            )
        binary = manifest.binaries[platform]
        return self._bucket.download_url(
            manifest.version, platform, binary, seconds=DOWNLOAD_SECONDS
        )


def _unreadable(version: str, cause: str) -> Unavailable:
    return Unavailable(
        "The release cannot be read.",
        code="release_unreadable",
        cause=f"manifest {version}: {cause}",
    )


def _not_published(detail: str, platforms: list[str]) -> NotFound:
    return NotFound(detail, code="agent_not_published", extra={"platforms": platforms})
