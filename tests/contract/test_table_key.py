"""What encrypts the tables: as the stack's parameter says, also after a deployment without it."""

from __future__ import annotations

import pytest

from infra import stack
from infra.emulator.in_process import emulated_aws
from infra.target import Target

ENVIRON = {
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "junk",
    "AWS_SECRET_ACCESS_KEY": "junk",
}
OWN = "arn:aws:kms:eu-central-1:123456789012:key/own"


def quiet(_: str) -> None:
    """What is said does not matter here."""


@pytest.mark.parametrize(
    ("key", "encrypted_by"),
    [(None, None), ("aws-managed", "of AWS"), (OWN, OWN)],
)
def test_the_tables_are_encrypted_as_the_parameter_says_and_it_stays(
    key: str | None, encrypted_by: str | None
) -> None:
    parameters = {} if key is None else {"TableKey": key}
    with emulated_aws():
        stack.apply(Target("prod", ENVIRON, parameters=parameters), say=quiet)
        other_clone = Target("prod", ENVIRON, parameters={"LogRetentionDays": "7"})
        outputs = stack.apply(other_clone, say=quiet)
        table = other_clone.client("dynamodb").describe_table(TableName="rollcall-prod-jobs")
        back = Target("prod", ENVIRON, parameters={"TableKey": "aws-owned"})
        stack.apply(back, say=quiet)
        now = back.client("dynamodb").describe_table(TableName="rollcall-prod-jobs")
    assert "SSEDescription" not in now["Table"]
    assert outputs["TableKey"] == (key or "aws-owned")
    description = table["Table"].get("SSEDescription", {})
    assert (description.get("Status") == "ENABLED") is (encrypted_by is not None)
    if encrypted_by == OWN:
        assert description["KMSMasterKeyArn"] == OWN
