"""What a template says is what moto's services hold, once the gaps are closed."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from infra.emulator.in_process import emulated_aws
from infra.emulator.patches import PatchError, Patches

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Stage": {"Type": "String"}},
    "Resources": {
        "Things": {
            "Type": "AWS::DynamoDB::Table",
            "DeletionPolicy": "Retain",
            "Properties": {
                "TableName": {"Fn::Sub": "things-${Stage}"},
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "SSESpecification": {"SSEEnabled": True},
                "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
                "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
                "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
                "DeletionProtectionEnabled": True,
            },
        },
        "Key": {
            "Type": "AWS::KMS::Key",
            "Properties": {
                "KeySpec": "ECC_NIST_P256",
                "KeyUsage": "SIGN_VERIFY",
                "KeyPolicy": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
                    ],
                },
            },
        },
        "Secret": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {
                "Name": "signing",
                "GenerateSecretString": {
                    "SecretStringTemplate": '{"current": "k1"}',
                    "GenerateStringKey": "k1",
                    "PasswordLength": 64,
                    "ExcludePunctuation": True,
                },
            },
        },
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": "the-bucket",
                "PublicAccessBlockConfiguration": {"BlockPublicAcls": True},
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "VersioningConfiguration": {"Status": "Enabled"},
                "LifecycleConfiguration": {
                    "Rules": [
                        {"Id": "old", "Status": "Enabled", "Prefix": "in/", "ExpirationInDays": 1}
                    ]
                },
            },
        },
        "BucketPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": {"Ref": "Bucket"},
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Deny",
                            "Principal": "*",
                            "Action": "s3:*",
                            "Resource": {"Fn::Sub": "${Bucket.Arn}/*"},
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    ],
                },
            },
        },
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "the-bus"}},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "dead"}},
        "QueuePolicy": {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [{"Ref": "Queue"}],
                "PolicyDocument": {"Version": "2012-10-17", "Statement": []},
            },
        },
        "Logs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": "/the/logs", "RetentionInDays": 7},
        },
        "Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": "the-alarm",
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Statistic": "Maximum",
                "Period": 300,
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            },
        },
    },
    "Outputs": {
        "Stream": {"Value": {"Fn::GetAtt": ["Things", "StreamArn"]}},
        "Secret": {"Value": {"Ref": "Secret"}},
        "Bus": {"Value": {"Ref": "Bus"}},
        "Alarm": {"Value": {"Ref": "Alarm"}},
        "Logs": {"Value": {"Ref": "Logs"}},
        "Table": {"Value": {"Ref": "Things"}},
        "Key": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}},
    },
}
STAGE = [{"ParameterKey": "Stage", "ParameterValue": "dev"}]


def changed(**properties: Any) -> str:
    """The template with properties of resources replaced."""
    template = json.loads(json.dumps(TEMPLATE))
    for name, values in properties.items():
        template["Resources"][name]["Properties"].update(values)
    return json.dumps(template)


def outputs() -> dict[str, str]:
    stack = boto3.client("cloudformation").describe_stacks(StackName="probe")["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


@pytest.fixture
def stack() -> Iterator[Any]:
    with emulated_aws():
        client = boto3.client("cloudformation")
        client.create_stack(
            StackName="probe",
            TemplateBody=json.dumps(TEMPLATE),
            Parameters=STAGE,  # type: ignore[arg-type]
        )
        yield client


@pytest.mark.usefixtures("stack")
def test_a_table_has_everything_that_the_template_says() -> None:
    client = boto3.client("dynamodb")
    table = client.describe_table(TableName="things-dev")["Table"]
    assert table["SSEDescription"]["Status"] == "ENABLED"
    assert table["DeletionProtectionEnabled"] is True
    assert table["LatestStreamArn"] == outputs()["Stream"]
    ttl = client.describe_time_to_live(TableName="things-dev")["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    backups = client.describe_continuous_backups(TableName="things-dev")
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


@pytest.mark.usefixtures("stack")
def test_the_keys_signature_over_a_digest_verifies_offline() -> None:
    client = boto3.client("kms")
    key = outputs()["Key"]
    metadata = client.describe_key(KeyId=key)["KeyMetadata"]
    assert metadata["KeySpec"] == "ECC_NIST_P256"
    assert json.loads(
        client.get_key_policy(KeyId=metadata["KeyId"], PolicyName="default")["Policy"]
    )["Statement"]
    arguments: Any = {"KeyId": key, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
    arguments["Message"] = hashlib.sha256(b"spec").digest()
    signature = client.sign(**arguments)["Signature"]
    assert client.verify(**arguments, Signature=signature)["SignatureValid"]
    public: Any = load_der_public_key(client.get_public_key(KeyId=key)["PublicKey"])
    public.verify(signature, b"spec", ec.ECDSA(hashes.SHA256()))


@pytest.mark.usefixtures("stack")
def test_the_secret_is_generated_into_its_template() -> None:
    client = boto3.client("secretsmanager")
    value = json.loads(client.get_secret_value(SecretId=outputs()["Secret"])["SecretString"])
    assert value["current"] == "k1"
    assert len(value["k1"]) == 64
    assert value["k1"].isalnum()


@pytest.mark.usefixtures("stack")
def test_the_bucket_is_configured_and_its_tls_policy_does_not_lock_it() -> None:
    client = boto3.client("s3")
    block = client.get_public_access_block(Bucket="the-bucket")["PublicAccessBlockConfiguration"]
    assert block["BlockPublicAcls"] is True
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket="the-bucket")["Rules"]
    assert (rule["Filter"], rule["Expiration"]) == ({"Prefix": "in/"}, {"Days": 1})
    assert client.get_bucket_versioning(Bucket="the-bucket")["Status"] == "Enabled"
    controls = client.get_bucket_ownership_controls(Bucket="the-bucket")["OwnershipControls"]
    assert controls["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    client.put_object(Bucket="the-bucket", Key="a", Body=b"1")
    assert client.get_object(Bucket="the-bucket", Key="a")["Body"].read() == b"1"
    assert "aws:SecureTransport" in client.get_bucket_policy(Bucket="the-bucket")["Policy"]


@pytest.mark.usefixtures("stack")
def test_references_give_names() -> None:
    given = outputs()
    assert (given["Bus"], given["Alarm"], given["Logs"]) == ("the-bus", "the-alarm", "/the/logs")
    (alarm,) = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert alarm["Threshold"] == 1


def test_an_update_changes_in_place_and_keeps_what_it_does_not_touch(stack: Any) -> None:
    boto3.client("events").put_rule(Name="r", EventBusName="the-bus", EventPattern="{}")
    client = boto3.client("secretsmanager")
    before = outputs()
    value = client.get_secret_value(SecretId=before["Secret"])["SecretString"]
    template = changed(
        Things={"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}},
        Logs={"RetentionInDays": 14},
        Alarm={"Threshold": 5},
        Bus={"Description": "changed"},
        Secret={"Description": "changed"},
        Key={"Description": "changed"},
        Bucket={"VersioningConfiguration": {"Status": "Suspended"}},
    )
    stack.update_stack(StackName="probe", TemplateBody=template, Parameters=STAGE)
    assert outputs() == before
    (group,) = boto3.client("logs").describe_log_groups()["logGroups"]
    assert group["retentionInDays"] == 14
    assert client.get_secret_value(SecretId=before["Secret"])["SecretString"] == value
    assert boto3.client("events").list_rules(EventBusName="the-bus")["Rules"]
    (alarm,) = boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert alarm["Threshold"] == 5
    versioning = boto3.client("s3").get_bucket_versioning(Bucket="the-bucket")
    assert versioning["Status"] == "Suspended"


def test_what_is_to_be_retained_survives_the_stack(stack: Any) -> None:
    stack.delete_stack(StackName="probe")
    assert boto3.client("dynamodb").list_tables()["TableNames"] == ["things-dev"]
    assert not boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert not boto3.client("secretsmanager").list_secrets()["SecretList"]
    with pytest.raises(ClientError):
        boto3.client("s3").head_bucket(Bucket="the-bucket")


def test_what_is_to_be_retained_survives_an_update_that_drops_it(stack: Any) -> None:
    template = json.loads(json.dumps(TEMPLATE))
    del template["Resources"]["Things"]
    for name in ("Stream", "Table"):
        del template["Outputs"][name]
    stack.update_stack(StackName="probe", TemplateBody=json.dumps(template), Parameters=STAGE)
    assert boto3.client("dynamodb").list_tables()["TableNames"] == ["things-dev"]


class _Changed:
    """Stands for a class of moto that is not what a patch expects."""

    def exists(self) -> None:
        """A method."""


def test_a_patch_of_something_that_is_gone_fails_loudly() -> None:
    patches = Patches()
    with pytest.raises(PatchError):
        patches.wrap(_Changed, "gone", lambda original: original)
    with pytest.raises(PatchError):
        patches.add(_Changed, "exists", None)


def test_only_one_emulation_runs_in_a_process() -> None:
    with emulated_aws(), pytest.raises(RuntimeError, match="holds moto"), emulated_aws():
        pass
    with emulated_aws():
        assert boto3.client("dynamodb").list_tables()["TableNames"] == []
