"""Does the deployed stage answer?"""

import json
import time
import urllib.error
import urllib.request

from infra.errors import DeployError

_ATTEMPTS = 8
_TIMEOUT_SECONDS = 20.0


def healthy(url: str, *, attempts: int = _ATTEMPTS, pause_seconds: float = 1.0) -> None:
    """Wait, a bounded time, until `GET {url}/healthz` answers 200.

    A new stage of API Gateway, and a new role of a function, take some seconds to be known.

    Raises:
        DeployError: it never did; with the last answer.
    """
    last = ""
    for attempt in range(attempts):
        if attempt:
            time.sleep(pause_seconds * attempt)
        last = _ask(f"{url}/healthz")
        if not last:
            return
    raise DeployError(f"deployed, but {url}/healthz does not answer well: {last}")


def _ask(url: str) -> str:
    """Nothing if the answer is as it should be, else what was wrong with it."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            body = json.loads(answer.read(65_536))
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read(500).decode('utf-8', 'replace')}"
    except (OSError, ValueError) as error:
        return str(error)
    if isinstance(body, dict) and body.get("status") == "ok":
        return ""
    return f"200, but {body!r:.200}"
