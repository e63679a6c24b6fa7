"""What `stack.yaml` promises, whatever is added to it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import template
from infra.errors import DeployError

RESOURCES: dict[str, dict[str, Any]] = template.load()["Resources"]
CLOUDFORMATION_BODY_LIMIT = 51_200
TABLES = {
    "organizations",
    "agent_enrollment_tokens",
    "agent_identities",
    "agent_presence",
    "agent_device_certificates",
    "agent_revocations",
    "artifacts",
    "jobs",
    "audit_records",
    "denials",
    "people",
}
FUNCTIONS = [
    "",
    "-publish_events",
    "-run_jobs",
    "-seal_evidence",
    "-sweep_presence",
    "-verify_upload",
]


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: r for name, r in RESOURCES.items() if r["Type"] == kind}


def properties(kind: str) -> list[dict[str, Any]]:
    return [resource["Properties"] for resource in of_type(kind).values()]


def table_named(name: str) -> dict[str, Any]:
    wanted = {"Fn::Sub": f"rollcall-${{Stage}}-{name}"}
    (found,) = [p for p in properties("AWS::DynamoDB::Table") if p["TableName"] == wanted]
    return found


def test_cfn_lint_finds_nothing() -> None:
    done = subprocess.run(  # noqa: S603
        [str(Path(sys.executable).with_name("cfn-lint")), str(template.TEMPLATE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_template_fits_into_one_request() -> None:
    assert template.MOST_BYTES == CLOUDFORMATION_BODY_LIMIT
    assert len(template.body().encode()) < CLOUDFORMATION_BODY_LIMIT - 5_000, "room for the next"


def test_all_tables_are_there() -> None:
    names = {p["TableName"]["Fn::Sub"] for p in properties("AWS::DynamoDB::Table")}
    assert names == {f"rollcall-${{Stage}}-{table}" for table in TABLES}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_is_on_demand_encrypted_restorable_and_protected(name: str) -> None:
    table = table_named(name)
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    # DynamoDB always encrypts: `SSEEnabled` false means by the key that AWS owns.
    assert table["SSESpecification"] == {
        "SSEEnabled": {"Fn::If": ["UsesKms", True, False]},
        "SSEType": {"Fn::If": ["UsesKms", "KMS", {"Ref": "AWS::NoValue"}]},
        "KMSMasterKeyId": {"Fn::If": ["OwnKey", {"Ref": "TableKey"}, {"Ref": "AWS::NoValue"}]},
    }
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["DeletionProtectionEnabled"] is True
    keys = [key["AttributeName"] for key in table["KeySchema"]]
    for index in table.get("GlobalSecondaryIndexes", []):
        keys += [key["AttributeName"] for key in index["KeySchema"]]
    declared = {
        item["AttributeName"]: item["AttributeType"] for item in table["AttributeDefinitions"]
    }
    assert declared == dict.fromkeys(keys, "S")


@pytest.mark.parametrize(
    "kind",
    [
        "AWS::DynamoDB::Table",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::KMS::Key",
        "AWS::KMS::Alias",
        "AWS::SecretsManager::Secret",
    ],
)
def test_data_and_keys_outlive_the_stack(kind: str) -> None:
    resources = of_type(kind)
    assert resources
    for name, resource in resources.items():
        if name == "EventDestinationSecret":
            continue  # holds no data: with another one, the receiver is told the other
        assert resource["DeletionPolicy"] == "Retain", name
        assert resource["UpdateReplacePolicy"] == "Retain", name


@pytest.mark.parametrize("name", ["agent_enrollment_tokens", "artifacts", "jobs", "audit_records"])
def test_rows_that_end_have_a_ttl(name: str) -> None:
    ttl = table_named(name)["TimeToLiveSpecification"]
    assert ttl == {"AttributeName": "ttl", "Enabled": True}


@pytest.mark.parametrize("name", ["jobs", "audit_records"])
def test_tables_that_start_functions_have_a_stream(name: str) -> None:
    assert table_named(name)["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}


@pytest.mark.parametrize("name", ["ArtifactBucket", "EvidenceBucket"])
def test_a_bucket_is_private_encrypted_and_owned_by_the_account(name: str) -> None:
    bucket = RESOURCES[name]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert bucket["BucketEncryption"]


@pytest.mark.parametrize(
    "name",
    [
        "ArtifactBucketPolicy",
        "EvidenceBucketPolicy",
        "DeadLetterQueuePolicy",
        "UndeliveredEventsQueuePolicy",
    ],
)
def test_buckets_and_queues_refuse_plain_http(name: str) -> None:
    statements = RESOURCES[name]["Properties"]["PolicyDocument"]["Statement"]
    assert any(
        s["Effect"] == "Deny"
        and s["Principal"] == "*"
        and s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for s in statements
    )


def test_every_bucket_and_queue_has_such_a_policy() -> None:
    for kind, policy, member in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", lambda p: [p["Bucket"]]),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", lambda p: p["Queues"]),
    ):
        named = {one["Ref"] for p in properties(policy) for one in member(p)}
        assert named == set(of_type(kind))


@pytest.mark.parametrize("name", ["ArtifactBucket", "EvidenceBucket"])
def test_the_tls_rule_covers_a_bucket_and_its_objects(name: str) -> None:
    (statement,) = RESOURCES[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "s3:*"
    assert [r["Fn::Sub"] for r in statement["Resource"]] == [
        f"${{{name}.Arn}}",
        f"${{{name}.Arn}}/*",
    ]


def test_batches_are_locked_versioned_and_kept_as_long_as_they_promise() -> None:
    bucket = RESOURCES["EvidenceBucket"]["Properties"]
    days = {"Ref": "EvidenceRetentionDays"}
    assert bucket["ObjectLockEnabled"] is True
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rule = bucket["ObjectLockConfiguration"]["Rule"]
    assert rule == {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": days}}
    (expiry,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (expiry["Prefix"], expiry["ExpirationInDays"]) == ("batches/", days)
    document = template.load()
    assert document["Parameters"]["EvidenceRetentionDays"]["Default"] == 400
    assert document["Outputs"]["EvidenceRetentionDays"]["Value"] == days


def test_tampering_rings_at_the_first_time_and_within_a_minute() -> None:
    alarm = RESOURCES["EvidenceTamperedAlarm"]["Properties"]
    assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Period"]) == (1, 1, 60)


@pytest.mark.parametrize("function", ["publish_events", "seal_evidence", "run_jobs"])
def test_a_function_that_falls_behind_its_stream_rings(function: str) -> None:
    name = {"Fn::Sub": f"rollcall-${{Stage}}-{function}"}
    assert [
        alarm
        for alarm in properties("AWS::CloudWatch::Alarm")
        if alarm.get("MetricName") == "IteratorAge"
        and alarm["Dimensions"] == [{"Name": "FunctionName", "Value": name}]
    ]


def test_stale_objects_expire_and_the_deploy_state_does_not() -> None:
    bucket = RESOURCES["ArtifactBucket"]["Properties"]
    rules = bucket["LifecycleConfiguration"]["Rules"]
    expiries = {r["Prefix"]: r["ExpirationInDays"] for r in rules if "ExpirationInDays" in r}
    assert expiries == {
        "incoming/": 1,
        "artifacts/": {"Ref": "ArtifactRetentionDays"},
        "exports/": 1,
    }
    assert any(r.get("AbortIncompleteMultipartUpload") for r in rules)


def test_the_signing_keys_can_sign_and_nothing_else() -> None:
    assert set(of_type("AWS::KMS::Key")) == {"SigningKey", "ReleaseKey"}
    for key in properties("AWS::KMS::Key"):
        assert (key["KeySpec"], key["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")


def test_the_release_key_refuses_every_function_by_its_own_policy() -> None:
    (denied,) = [
        statement
        for statement in RESOURCES["ReleaseKey"]["Properties"]["KeyPolicy"]["Statement"]
        if statement["Effect"] == "Deny"
    ]
    assert (denied["Principal"], denied["Action"], denied["Resource"]) == ("*", "kms:*", "*")
    named = {arn["Fn::Sub"] for arn in denied["Condition"]["ArnEquals"]["aws:PrincipalArn"]}
    account = "arn:${AWS::Partition}:iam::${AWS::AccountId}"
    # As Chalice names the roles.
    roles = [suffix or "-api_handler" for suffix in FUNCTIONS]
    assert named == {f"{account}:role/rollcall-${{Stage}}{role}" for role in roles}


def test_the_signing_secret_is_generated_and_appears_nowhere() -> None:
    assert all("SecretString" not in one for one in properties("AWS::SecretsManager::Secret"))
    secret = RESOURCES["RuntimeSigningSecret"]["Properties"]
    assert secret["GenerateSecretString"]["GenerateStringKey"] == "k1"
    assert secret["GenerateSecretString"]["PasswordLength"] >= 43


@pytest.mark.parametrize("suffix", FUNCTIONS)
def test_every_function_has_logs_that_end_and_alarms(suffix: str) -> None:
    groups = properties("AWS::Logs::LogGroup")
    (group,) = [
        g
        for g in groups
        if g["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/rollcall-${{Stage}}{suffix}"}
    ]
    assert group["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    function = {"Fn::Sub": f"rollcall-${{Stage}}{suffix}"}
    watched = {
        alarm["MetricName"]
        for alarm in properties("AWS::CloudWatch::Alarm")
        if {"Name": "FunctionName", "Value": function} in alarm.get("Dimensions", [])
    }
    assert {"Errors", "Throttles"} <= watched


def test_throttles_of_every_index_ring() -> None:
    watched = {
        tuple(
            one["Value"].get("Ref") if isinstance(one["Value"], dict) else one["Value"]
            for one in metric["MetricStat"]["Metric"]["Dimensions"]
        )
        for metric in RESOURCES["IndexThrottlesAlarm"]["Properties"]["Metrics"]
        if "MetricStat" in metric
    }
    assert watched == {
        (logical, index["IndexName"])
        for logical, table in of_type("AWS::DynamoDB::Table").items()
        for index in table["Properties"].get("GlobalSecondaryIndexes", [])
    }


@pytest.mark.parametrize("name", ["TableThrottlesAlarm", "IndexThrottlesAlarm"])
def test_every_metric_of_a_sum_is_in_the_sum(name: str) -> None:
    metrics = RESOURCES[name]["Properties"]["Metrics"]
    parts = {metric["Id"] for metric in metrics if "MetricStat" in metric}
    (expression,) = [metric["Expression"] for metric in metrics if "Expression" in metric]
    assert set(re.findall(r"FILL\((\w+), 0\)", expression)) == parts
    assert len(metrics) <= 10, "CloudWatch takes no more"


def test_a_schedule_that_does_not_run_rings() -> None:
    alarm = RESOURCES["SweepPresenceSilentAlarm"]["Properties"]
    assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("Invocations", "breaching")


def test_what_is_sent_is_the_template_without_its_comments() -> None:
    body = template.body()
    assert not re.search(r"^ *#", body, re.MULTILINE)
    assert yaml.load(body, Loader=template._Loader) == template.load()  # noqa: S506


def test_a_template_that_is_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text("# a comment\n" * 10_000 + "Description: small\n")
    assert template.body(path) == "Description: small\n"
    path.write_text(f"Description: {'x' * 51_200}\n")
    with pytest.raises(DeployError, match="51,200"):
        template.body(path)


def test_every_alarm_reaches_the_topic_if_there_is_one() -> None:
    for alarm in properties("AWS::CloudWatch::Alarm"):
        chosen = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], []]}
        assert alarm["AlarmActions"] == chosen


def test_buckets_of_presence_have_a_bounded_width_that_every_clone_reads_from_the_stack() -> None:
    document = template.load()
    parameter = document["Parameters"]["PresenceBucketSeconds"]
    bounds = (parameter["MinValue"], parameter["Default"], parameter["MaxValue"])
    assert (parameter["Type"], bounds) == ("Number", (1, 300, 3600))
    assert document["Outputs"]["PresenceBucketSeconds"]["Value"] == {"Ref": "PresenceBucketSeconds"}


def test_the_deployer_finds_the_names_of_what_is_kept() -> None:
    names = {"Stage": "prod", "AWS::AccountId": "123456789012", "AWS::Region": "eu-central-1"}
    kept = {item.name for item in template.retained(names)}
    assert kept == {f"rollcall-prod-{table}" for table in TABLES} | {
        "rollcall-prod-123456789012-eu-central-1",
        "rollcall-prod-evidence-123456789012-eu-central-1",
        "alias/rollcall-prod-releases",
        "alias/rollcall-prod-signing",
        "rollcall-prod-runtime-signing",
    }
