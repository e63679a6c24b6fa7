import pytest
from botocore.exceptions import ClientError

from infra import denied

USER = "User: arn:aws:sts::123456789012:assumed-role/deployer/me"
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:rollcall-prod"


def refused(code: str, message: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("code", "message", "operation", "right"),
    [
        ("AccessDeniedException",
         (f"{USER} is not authorized to perform: lambda:GetFunction on resource: {FUNCTION} "
         "because no identity-based policy allows the lambda:GetFunction action"),
         "GetFunction", f"lambda:GetFunction on {FUNCTION}"),
        ("AccessDenied", (f"{USER} is not authorized to perform: iam:CreateRole on resource: "
         "arn:aws:iam::123456789012:role/r with an explicit deny in a service control policy"),
         "CreateRole", "iam:CreateRole on arn:aws:iam::123456789012:role/r"),
        ("AccessDenied", (f"{USER} is not authorized to perform: cloudformation:CreateStack on "
         "resource: arn:aws:cloudformation:x:1:stack/rollcall-prod/*"), "CreateStack",
         "cloudformation:CreateStack on arn:aws:cloudformation:x:1:stack/rollcall-prod/*"),
        ("AccessDeniedException", (f"{USER} is not authorized to perform: apigateway:GET on "
         "resource: arn:aws:apigateway:eu-central-1::/restapis"), "GetRestApis",
         "apigateway:GET on arn:aws:apigateway:eu-central-1::/restapis"),
        ("AccessDeniedException", (f"{USER} is not authorized to perform: secretsmanager:"
         "GetRandomPassword because no identity-based policy allows it"), "GetRandomPassword",
         "secretsmanager:GetRandomPassword"),
        ("ValidationError", f"{USER} is not authorized to perform: sqs:CreateQueue", "UpdateStack",
         "sqs:CreateQueue"),
        ("403", "Forbidden", "HeadBucket", "s3:ListBucket"),
        ("AccessDenied", "Access Denied", "GetObject", "s3:GetObject, or s3:ListBucket"),
        ("AccessDenied", "Access Denied", "PutBucketNotificationConfiguration",
         "s3:PutBucketNotification"),
        ("AccessDeniedException", "No.", "PutGatewayResponse", "the one for PutGatewayResponse"),
    ],
)  # fmt: skip
def test_the_action_that_is_missing_is_named(
    code: str, message: str, operation: str, right: str
) -> None:
    line = denied.explain(refused(code, message, operation))
    assert line.startswith(f"missing right: {right}")
    assert "docs/deploying.md" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ResourceNotFoundException", "no such function"), ("ValidationError", "No updates"),
        ("ExpiredToken", "The security token included in the request is expired"),
        ("InvalidParameterValueException", "Please ensure the role can perform the GetRecords"),
    ],
)  # fmt: skip
def test_another_refusal_is_not_blamed_on_rights(code: str, message: str) -> None:
    assert denied.explain(refused(code, message, "Anything")) == ""


def test_rights_are_found_in_the_output_of_a_program_each_once() -> None:
    line = (
        f"   {USER} is not authorized\n   to perform: iam:PassRole on resource:\n   arn:r because"
    )
    assert denied.missing(f"{line}\n{line}") == ["iam:PassRole on arn:r"]
    assert denied.advice("all is well") == ""
