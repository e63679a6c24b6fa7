"""A real OpenID provider in a child process, and a browser that logs in at it."""

import contextlib
import json
import re
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from tests.functional.oidc.certificates import Certificate

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "tests" / "oidc" / "provider.mjs"
REDIRECT_URI = "https://rollcall.example/api/v1/auth/oidc/{organization_id}/callback"
_BACK = REDIRECT_URI.partition("{")[0]
SECRET = "canary of the confidential clients: +/% & =~"
_STEPS = 12
_FORM = re.compile(r'<form[^>]*action="(?P<action>[^"]+)"[^>]*method="post"', re.IGNORECASE)
_HIDDEN = re.compile(r'type="hidden" name="(?P<name>[^"]+)" value="(?P<value>[^"]*)"')


def client(client_id: str, method: str = "client_secret_basic", **more: Any) -> dict[str, Any]:
    """A client as the provider is configured with it."""
    secret = {} if method == "none" else {"client_secret": SECRET}
    return {
        "client_id": client_id,
        "redirect_uris": [REDIRECT_URI.format(organization_id="ORGANIZATION")],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        **secret,
        **more,
    }


CLIENTS = [
    client("basic"),
    client("post", "client_secret_post"),
    client("public", "none"),
    *(
        client(f"signs-{algorithm}", "none", id_token_signed_response_alg=algorithm)
        for algorithm in ("PS256", "ES256", "EdDSA")
    ),
    client("signs-HS256", id_token_signed_response_alg="HS256"),
]


@dataclass
class Provider:
    """A running provider."""

    issuer: str
    bundle: Path
    _process: subprocess.Popen[str] = field(repr=False)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def account(self, subject: str, **claims: Any) -> str:
        """Make an account, or change it; its claims are those of the next login."""
        self.accounts[subject] = claims
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"accounts": self.accounts}) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "{}\n"
        return subject

    def log_in(self, url: str, subject: str) -> dict[str, str]:
        """Do what a person does in a browser, from the address that they were sent to.

        Returns the parameters with which the provider sends the browser back.
        """
        trusted = ssl.create_default_context(cafile=self.bundle)
        with httpx.Client(verify=trusted, trust_env=False, timeout=10) as browser:
            for _ in range(_STEPS):
                if url.startswith(_BACK):
                    return _parameters(url)
                page = browser.get(url)
                if not page.is_redirect:
                    page = _submit(browser, url, page, subject)
                url = urljoin(url, page.headers["location"])
        raise AssertionError(f"the provider did not send the browser back: {url}")


def _submit(browser: httpx.Client, url: str, page: httpx.Response, subject: str) -> httpx.Response:
    form = _FORM.search(page.text)
    assert form is not None, page.text
    fields = {found["name"]: found["value"] for found in _HIDDEN.finditer(page.text)}
    answer = browser.post(
        urljoin(url, form["action"]), data={**fields, "login": subject, "password": "any"}
    )
    assert answer.is_redirect, answer.text
    return answer


def _parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@contextlib.contextmanager
def running(certificate: Certificate) -> Iterator[Provider]:
    """Start a provider on a free port of the loopback; it ends with the block, or with us.

    The kernel closes its standard input when this process ends, however it does, and the program
    ends with its input.
    """
    node = shutil.which("node")
    assert node, "the tests of single sign-on need Node"
    with (
        tempfile.TemporaryFile("w+") as remarks,
        subprocess.Popen(  # noqa: S603 - a fixed program
            [node, str(PROGRAM)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=remarks,
            text=True,
            start_new_session=True,  # Ctrl-C is for pytest, which then closes the pipe
        ) as process,
    ):
        try:
            yield _started(process, certificate, remarks)
        finally:
            process.kill()


def _started(
    process: subprocess.Popen[str], certificate: Certificate, remarks: IO[str]
) -> Provider:
    assert process.stdin
    assert process.stdout
    wanted = {
        "certificate": str(certificate.chain),
        "privateKey": str(certificate.key),
        "clients": CLIENTS,
        "accounts": {},
    }
    process.stdin.write(json.dumps(wanted) + "\n")
    process.stdin.flush()
    said = process.stdout.readline()
    if not said:
        process.wait(10)
        remarks.seek(0)
        raise AssertionError(
            f"the provider did not start (`make test-functional` installs it): {remarks.read()}"
        )
    return Provider(json.loads(said)["issuer"], certificate.bundle, process)
