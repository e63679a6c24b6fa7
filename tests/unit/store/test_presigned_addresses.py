"""Where presigned requests go, without an endpoint of the emulated cloud in between."""

import urllib.parse

import pytest

from chalicelib.runtime import Runtime
from chalicelib.settings import Settings
from chalicelib.store.artifact_bucket import ArtifactAddress

ADDRESS = ArtifactAddress("org_a", "agt_b", "art_c")
SETTINGS = Settings("s", "t-", "the-bucket", "b", "q", "a", "x", "y", "k", "e", None, 300, 90, 400)


@pytest.mark.parametrize("region", ["eu-central-1", "eu-south-1", "us-east-1"])
def test_presigned_addresses_name_the_region_and_the_place(
    monkeypatch: pytest.MonkeyPatch, region: str
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AWS_REGION", region)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    bucket = Runtime(settings=SETTINGS).bucket
    form = bucket.upload_form(
        ADDRESS, size=1, sha256="0" * 64, content_type="text/plain", seconds=60
    )
    got = urllib.parse.urlsplit(bucket.download_url(ADDRESS, filename="f", seconds=60))
    hosts = {f"the-bucket.s3.{region}.amazonaws.com"}
    if region == "us-east-1":
        hosts.add("the-bucket.s3.amazonaws.com")
    assert urllib.parse.urlsplit(form.url).hostname in hosts
    assert got.hostname in hosts
    assert form.fields["key"] == "incoming/org_a/agt_b/art_c"
    assert got.path == "/artifacts/org_a/agt_b/art_c"
