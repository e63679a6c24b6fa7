"""Law 3: an environment is deleted on the deployed stage, and the job that does it is watched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.e2e.stack.calls import Calls, until
from tests.e2e.stack.test_law_3_revoked import code_of

FLEET = 12
DONE_WITHIN_SECONDS = 90.0


def test_a_deleted_environment_stops_at_once_and_is_done_after_its_last_agent(
    calls: Calls,
) -> None:
    body = {"project": calls.stack.project, "name": "to be deleted"}
    made = calls.operator("POST", "/environments", body)
    assert made.status_code == 201, made.text
    environment = made.json()["environment_id"]
    path = f"/environments/{environment}"
    token = calls.mint(uses=FLEET + 1, environment=environment)
    with ThreadPoolExecutor(4) as pool:
        hosts = list(pool.map(lambda _: calls.online(token), range(FLEET)))
    bystander = calls.online()

    deleted = calls.operator("DELETE", path)
    assert deleted.status_code == 202, deleted.text
    wish = {"environment": environment}
    minted = calls.operator("POST", "/agent-enrollment/tokens", wish)
    assert code_of(minted) == (404, "environment_not_found")
    assert code_of(calls.exchange(token)) == (403, "environment_closed")
    shown = calls.operator("GET", f"/agents/{hosts[0].id}")
    assert code_of(shown) == (404, "agent_not_found")
    job_id = deleted.json()["job"]["job_id"]
    if (again := calls.operator("DELETE", path)).status_code == 202:
        assert again.json()["job"]["job_id"] == job_id

    processed: list[int] = []

    def done() -> dict[str, Any] | None:
        job: dict[str, Any] = calls.operator("GET", f"/jobs/{job_id}").json()
        assert job["status"] in {"queued", "running", "done"}, job
        processed.append(job["processed"])
        return job if job["status"] == "done" else None

    job = until(done, "the environment is deleted", seconds=DONE_WITHIN_SECONDS)
    assert (job["kind"], job["target"]) == ("delete_environment", environment)
    assert (job["processed"], job["total"]) == (FLEET + 1, FLEET + 1)
    assert processed == sorted(processed)
    with ThreadPoolExecutor(4) as pool:
        beats = list(pool.map(lambda host: code_of(calls.beat(host, 2)), hosts))
    assert beats == [(401, "key_revoked")] * FLEET
    assert code_of(calls.operator("GET", path)) == (404, "environment_not_found")
    assert code_of(calls.operator("DELETE", path)) == (404, "environment_not_found")
    assert calls.beat(bystander, 2).status_code == 200
    records = calls.operator(
        "GET", f"/audit-records?resource_type=environment&resource_id={environment}&order=oldest"
    ).json()["audit_records"]
    assert [record["event"] for record in records] == [
        "environment.created",
        "environment.deletion_requested",
        "environment.deleted",
    ]
