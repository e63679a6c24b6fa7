"""A first deployment into an account in which nothing is known at once."""

from __future__ import annotations

from pathlib import Path

import httpx

from infra import application
from infra.deploy import deploy
from infra.emulator import settling
from infra.emulator.cloud import EmulatedCloud
from infra.inventory import live_apis
from infra.local_stack import emulated_target
from tests.e2e.checkouts import clone

STREAMED = {"publish_events", "run_jobs", "seal_evidence"}


def test_it_goes_through_what_aws_refuses_while_a_role_is_new(tmp_path: Path) -> None:
    lines: list[str] = []
    slept: list[float] = []
    with EmulatedCloud(tmp_path / "cloud") as cloud:
        refusals = cloud.refuse_while_settling()
        target = emulated_target(cloud, {}, "prod")
        deployed = deploy(target, clone(tmp_path / "a"), say=lines.append, sleep=slept.append)

        assert set(refusals.refused) == {settling.MAPPING, settling.NOTIFICATION}
        assert slept == [application.PAUSE_SECONDS] * len(refusals.refused)
        assert list(live_apis(target)) == [deployed.rest_api_id], "there is one API, not three"
        mappings = target.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        found = sorted(mapping["FunctionArn"].rsplit("-", 1)[1] for mapping in mappings)
        assert found == sorted(STREAMED), "each once"
        wired = target.client("s3").get_bucket_notification_configuration(
            Bucket=deployed.outputs["BucketName"]
        )
        assert len(wired["LambdaFunctionConfigurations"]) == 1
        assert httpx.get(f"{deployed.url}/healthz", trust_env=False).status_code == 200
    for reason in ("the role may read the stream", "it may call the function"):
        assert any(reason in line and "again in 15 seconds" in line for line in lines)
