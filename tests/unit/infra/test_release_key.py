import hashlib
from collections.abc import Iterator
from types import MappingProxyType

import pytest
from moto import mock_aws

from infra import release_key
from infra.errors import DeployError
from infra.target import Target

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        yield Target("prod", ENVIRON)


def test_the_fingerprint_is_the_sha256_of_the_public_key(target: Target) -> None:
    client = target.client("kms")
    key = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    outputs = {"ReleaseKeyArn": key, "BucketName": "b"}
    der = client.get_public_key(KeyId=key)["PublicKey"]
    assert release_key.with_fingerprint(target, outputs) == {
        **outputs,
        "ReleaseKeySha256": hashlib.sha256(der).hexdigest(),
    }


def test_a_stack_without_a_release_key_is_said(target: Target) -> None:
    with pytest.raises(DeployError, match="no output ReleaseKeyArn"):
        release_key.with_fingerprint(target, {})
