"""How the agent gets to a host: install scripts, the signed manifest, the binaries. All public."""

import re
from functools import cache
from pathlib import Path

from chalice import Response

from chalicelib import runtime
from chalicelib.api import requests
from chalicelib.api.views import Api
from chalicelib.errors import Unavailable
from chalicelib.release_manifest import LATEST, VERSION

_SCRIPTS = Path(__file__).resolve().parents[1] / "install"
# What a shell, of either kind, does nothing with inside of quotes.
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9_.,:/%+=~-]+")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_TEXT = {
    # As plain text, so that a browser shows it and PowerShell gets a string.
    "Content-Type": "text/plain; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

api = Api(__name__, prefix="")


@api.route("/install/install.sh", methods=["GET"])
def install_script() -> Response:
    """The install script for Linux and macOS, with this stage's URL filled in."""
    return _script("install.sh")


@api.route("/install/install.ps1", methods=["GET"])
def install_script_for_windows() -> Response:
    """The install script for Windows, with this stage's URL filled in."""
    return _script("install.ps1")


@api.route("/agent/manifest", methods=["GET"])
def agent_manifest() -> Response:
    """The signed manifest of a version, as it was published."""
    given = requests.query(api.current_request, "version")
    manifest = runtime.current().releases.manifest(_version(given))
    return Response(manifest.content.decode(), _TEXT, 200)


@api.route("/agent/binary", methods=["GET"])
def agent_binary() -> Response:
    """A redirect to where a binary can be downloaded for some minutes."""
    given = requests.query(api.current_request, "os", "arch", "version")
    address = runtime.current().releases.download(
        _name(given, "os"), _name(given, "arch"), _version(given)
    )
    return Response("", {**_TEXT, "Location": address}, 302)


def _script(name: str) -> Response:
    requests.query(api.current_request)
    settings = runtime.current().settings
    base = requests.public_url(api.current_request, settings.public_url)
    if not _PLAIN_URL.fullmatch(base):
        # A script that runs as root gets no text that a shell might understand.
        raise Unavailable(
            "The install script cannot be made for this address.",
            code="public_url_unusable",
            cause="the public URL has characters that no script may hold",
        )
    text = _template(name).replace("@ROLLCALL_URL@", base)
    text = text.replace("@ROLLCALL_RELEASE_KEY_SHA256@", settings.release_key_sha256 or "")
    return Response(text, _TEXT, 200)


@cache
def _template(name: str) -> str:
    return (_SCRIPTS / name).read_text("utf-8")


def _version(given: dict[str, str]) -> str:
    version = given.get("version", LATEST)
    if not VERSION.fullmatch(version):
        raise requests.bad_parameter(
            "version",
            "1 to 64 letters, digits, dots, plus signs and hyphens; the first a letter or digit",
        )
    return version


def _name(given: dict[str, str], name: str) -> str:
    text = given.get(name, "")
    if not _NAME.fullmatch(text):
        raise requests.bad_parameter(
            name, "needed: 1 to 32 letters, digits, underscores, dots and hyphens"
        )
    return text
