"""Which Python the functions run on: one for a stage, and not that of the deploying machine.

Chalice takes the Python that runs it, so that a deployment from another machine could change the
runtime of every function silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalice.config import Config

from infra.errors import DeployError
from infra.inventory import unless_absent

if TYPE_CHECKING:
    from infra.console import Say
    from infra.target import Target

PARAMETER = "LambdaRuntime"
UNKNOWN = "unknown"
"""The parameter's value in a stack that was not made by the deployer."""
DOCUMENTED = "python3.13"
# AWS, "Lambda runtimes", supported runtimes: deprecation, and from when on functions can no longer
# be updated.
ENDING = {"python3.11": ("2027-06-30", "2027-08-31")}


def own() -> str:
    """The runtime that Chalice takes when this process runs it."""
    return str(Config.create().lambda_python_version)


def chosen(
    target: Target, recorded: str | None, *, change: bool, say: Say, runtime: str | None = None
) -> str:
    """The runtime to deploy: the stage's.

    Args:
        target: the stage.
        recorded: what its stack says, if it says anything.
        change: whether another one than the stage's may be deployed.
        say: takes a warning.
        runtime: of this process.

    Raises:
        DeployError: it would change, and that was not asked for.
    """
    runtime = runtime or own()
    present = recorded if recorded not in {None, UNKNOWN} else _running(target)
    if present and present != runtime and not change:
        raise DeployError(
            f"stage {target.stage} runs on {present}, and this virtual environment has {runtime}: "
            f"every function's runtime would change. Make the environment with {present} "
            f"(`make clean setup PYTHON={present}`), or deploy with --change-runtime"
        )
    if present and present != runtime:
        say(f"runtime of the functions: {runtime} instead of {present}")
    if runtime in ENDING and not target.is_emulated:  # AWS's dates are of no matter there
        deprecated, frozen = ENDING[runtime]
        say(
            f"warning: AWS deprecates {runtime} on {deprecated}, and refuses updates of its "
            f"functions from {frozen} on; choose {DOCUMENTED} (docs/deploying.md)"
        )
    return runtime


def _running(target: Target) -> str | None:
    """The runtime of the deployed API function; a stage of before may have no record."""
    client = target.client("lambda")
    found = unless_absent(lambda: client.get_function_configuration(FunctionName=target.stack_name))
    return found.get("Runtime") if found else None
