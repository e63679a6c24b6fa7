from types import MappingProxyType

import pytest

from infra.errors import DeployError
from infra.inventory import api_url
from infra.target import Target

ENVIRON = MappingProxyType(
    {
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "the-id",
        "AWS_SECRET_ACCESS_KEY": "the-key",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_API_GATEWAY": "http://127.0.0.1:2",
        "AWS_PROFILE": "a-developers-own",
    }
)


@pytest.mark.parametrize("stage", ["", "Prod", "1st", "a" * 17, "a_b", "a/b", "a b", "prod\n"])
def test_a_stage_that_cannot_be_a_name_is_refused(stage: str) -> None:
    with pytest.raises(DeployError, match="cannot be a stage"):
        Target(stage, ENVIRON)


def test_clients_are_built_from_the_given_environment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-process")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    target = Target("prod", ENVIRON)
    client = target.client("s3")
    assert client.meta.endpoint_url == "http://127.0.0.1:1"
    assert client.meta.region_name == "eu-central-1"
    assert client._request_signer._credentials.access_key == "the-id"
    assert target.client("apigateway").meta.endpoint_url == "http://127.0.0.1:2"


def test_a_child_sees_the_keys_and_no_profile_and_writes_no_byte_code() -> None:
    environ = Target("prod", ENVIRON).child_environ()
    assert environ["AWS_ACCESS_KEY_ID"] == "the-id"
    assert environ["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert environ["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "AWS_PROFILE" not in environ


def test_credentials_do_not_show_when_a_target_is_printed() -> None:
    assert "the-key" not in repr(Target("prod", ENVIRON))


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("eu-central-1", "aws", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("cn-northwest-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
        ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
        ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
    ],
)
def test_partition_and_host_names_are_of_the_endpoint_data(
    region: str, partition: str, suffix: str
) -> None:
    target = Target("prod", {**ENVIRON, "AWS_REGION": region})
    assert target.region_partition == partition
    assert api_url(target, "abc") == f"https://abc.execute-api.{region}.{suffix}/prod"


def test_a_region_that_no_partition_has_is_refused() -> None:
    with pytest.raises(DeployError, match="is no region of AWS"):
        _ = Target("prod", {**ENVIRON, "AWS_REGION": "nowhere"}).region_partition
