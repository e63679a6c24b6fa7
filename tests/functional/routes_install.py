"""Routes by which the agent gets to a host."""

from tests.functional.route import Route

# A good request of a binary names a platform; without one it is refused.
ROUTES: tuple[Route, ...] = (
    Route("GET", "/install/install.sh"),
    Route("GET", "/install/install.ps1"),
    Route("GET", "/agent/manifest", query=("version",), answers=(200, 404)),
    Route("GET", "/agent/binary", query=("os", "arch", "version"), answers=(302, 400, 404)),
)
