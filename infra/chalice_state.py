"""Chalice's deploy state: kept in the stage's bucket, restored first, rebuilt when it was lost.

Chalice decides from one local file whether the REST API exists. A deployment from a machine
without that file would make a new URL and strand the fleet, so the bucket holds the truth.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from infra.errors import DeployError
from infra.inventory import discover, live_apis
from infra.target import APP_NAME

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from infra.console import Say
    from infra.inventory import Apis, Entry
    from infra.project import Project
    from infra.target import Target

State = dict[str, Any]

# The order in which Chalice makes things; it takes them down in the opposite one.
_ORDER = ("iam_role", "lambda_function")


def key(stage: str) -> str:
    """Where the bucket keeps the state of a stage."""
    return f"deploy-state/{stage}.json"


def rest_api_id(state: State | None) -> str | None:
    """The id of the REST API that a state knows."""
    for entry in (state or {}).get("resources", []):
        if entry["resource_type"] == "rest_api":
            return str(entry["rest_api_id"])
    return None


def decide(remote: State | None, local: State | None, apis: Apis, stage: str) -> State | None:
    """Which state to deploy from: the bucket's, else a local one that is still true, else none.

    Raises:
        DeployError: whatever was chosen would make a second REST API beside the fleet's, or the
            fleet's is gone.
    """
    where = f"the bucket's {key(stage)}"
    if (known := rest_api_id(remote)) and known not in apis:
        raise DeployError(
            f"{where} names the REST API {known}, which does not exist (any more). Its URL cannot "
            "be brought back. If the agents use a custom domain, or there are none, delete that "
            "object and deploy again: that makes a new API."
        )
    if known:
        return remote
    if rest_api_id(local) in apis:
        return local
    serving = sorted(api for api, stages in apis.items() if stage in stages)
    if serving:
        raise DeployError(
            f"{where} is missing or knows no REST API, although {', '.join(serving)} serves the "
            f"stage {stage}. A deployment would make a second one with a new URL, and the agents "
            f"would not follow. To take it over: deploy with `--adopt {serving[0]}`."
        )
    return remote


def restore(target: Target, project: Project, bucket: str, adopt: str | None = None) -> None:
    """Put the right state where Chalice looks for it.

    Args:
        target: the stage.
        project: the staged project.
        bucket: the stage's bucket.
        adopt: id of a REST API to rebuild a lost state around.
    """
    apis = live_apis(target)
    if adopt:
        if adopt not in apis:
            raise DeployError(f"there is no REST API {adopt} of the name {APP_NAME} here")
        _write(project, _as_state(discover(target, _functions(project), bucket, adopt)))
        return
    chosen = decide(_remote(target, bucket), _local(project), apis, target.stage)
    if chosen is None:
        project.state_file.unlink(missing_ok=True)
    else:
        _write(project, chosen)


def add(project: Project, entries: list[Entry]) -> None:
    """Tell Chalice of what was made before it."""
    state = _local(project) or _as_state([])
    known = {entry["name"] for entry in state["resources"]}
    new = [entry for entry in entries if entry["name"] not in known]
    _write(project, _as_state([*state["resources"], *new]))


def keep(target: Target, project: Project, bucket: str) -> None:
    """Put Chalice's state into the bucket."""
    state = _local(project)
    if state is not None:
        target.client("s3").put_object(
            Bucket=bucket,
            Key=key(target.stage),
            Body=json.dumps(state, indent=2).encode(),
            ContentType="application/json",
        )


def complete(target: Target, project: Project, bucket: str, before: Apis, *, say: Say) -> None:
    """After a deployment that failed half-way: record what it made.

    Chalice writes its state only at the very end. Without this, the next attempt would make a
    second REST API, and fail on event sources that exist already.
    """
    state = _local(project) or _as_state([])
    new = sorted(set(live_apis(target)) - set(before))
    api = rest_api_id(state) or (new[0] if len(new) == 1 else None)
    names = {entry["name"] for entry in state["resources"]}
    found = discover(target, _functions(project), bucket, api)
    missing = [entry for entry in found if entry["name"] not in names]
    if missing:
        say(f"recording {len(missing)} resources that the failed deployment left behind")
    if missing or state["resources"]:
        _write(project, _as_state([*state["resources"], *missing]))
        keep(target, project, bucket)


def restore_for_deletion(target: Target, project: Project, bucket: str) -> None:
    """Make the local state exactly what exists, so that Chalice can delete all of it.

    Chalice stops at the first thing that is gone already, as after a deletion that was
    interrupted, and does not know of things that a failed deployment made.
    """
    state = _remote(target, bucket) or _local(project)
    if state is not None:
        _write(project, state)
    apis = live_apis(target)
    known = rest_api_id(state)
    serving = [api for api, stages in apis.items() if target.stage in stages]
    if known not in apis:
        known = serving[0] if len(serving) == 1 else None
    _write(project, _as_state(discover(target, _functions(project), bucket, known)))


def deployed_api(project: Project) -> str:
    """The REST API that Chalice has just deployed."""
    api = rest_api_id(_local(project))
    if api is None:
        raise DeployError("Chalice deployed no REST API; does app.py declare its routes?")
    return api


def remote_api(target: Target, bucket: str) -> str:
    """The REST API that the bucket's state knows."""
    api = rest_api_id(_remote(target, bucket))
    if api is None:
        raise DeployError(f"stage {target.stage} has no REST API; deploy it first")
    return api


def delete_remote(target: Target, bucket: str) -> None:
    """Forget the state in the bucket, once nothing that it describes exists."""
    target.client("s3").delete_object(Bucket=bucket, Key=key(target.stage))


def _functions(project: Project) -> list[str]:
    """Today's functions, and those of the state: an older version may have had others."""
    known = (_local(project) or _as_state([]))["resources"]
    older = [entry["name"] for entry in known if entry["resource_type"] == "lambda_function"]
    return list(dict.fromkeys([*project.functions, *older]))


def _as_state(entries: list[Entry]) -> State:
    def rank(entry: Entry) -> int:
        kind = entry["resource_type"]
        if kind == "rest_api":
            return len(_ORDER) + 1
        return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)

    return {"schema_version": "2.0", "backend": "api", "resources": sorted(entries, key=rank)}


def _remote(target: Target, bucket: str) -> State | None:
    client: S3Client = target.client("s3")
    try:
        body = client.get_object(Bucket=bucket, Key=key(target.stage))["Body"].read()
    except client.exceptions.NoSuchKey:
        return None
    return _parsed(body, f"the bucket's {key(target.stage)}")


def _local(project: Project) -> State | None:
    if not project.state_file.is_file():
        return None
    return _parsed(project.state_file.read_bytes(), str(project.state_file.name))


def _parsed(body: bytes, what: str) -> State:
    try:
        state = json.loads(body)
    except ValueError as error:
        raise DeployError(f"{what} is not JSON; nothing was deployed: {error}") from error
    if not isinstance(state, dict) or not isinstance(state.get("resources"), list):
        raise DeployError(f"{what} is no deploy state of Chalice; nothing was deployed")
    return state


def _write(project: Project, state: State) -> None:
    project.state_file.parent.mkdir(parents=True, exist_ok=True)
    project.state_file.write_text(json.dumps(state, indent=2) + "\n", "utf-8")
