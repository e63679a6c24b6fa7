"""Which right is missing, where AWS says 403."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_CODES = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"}
_CODES |= {"AuthorizationError", "AuthorizationErrorException", "NotAuthorized"}
# AWS's own words, from each service and from CloudFormation's handlers.
_SAID = re.compile(
    r"is not authorized to perform:? (?P<action>[a-z0-9-]+:\w+)"
    r"(?: on (?:the )?resource:? (?P<on>\S+))?"
)
# S3's answer to HEAD has no text, and its operations have other names than the actions.
_S3_ACTIONS = {
    "HeadBucket": "s3:ListBucket",
    "HeadObject": "s3:GetObject, or s3:ListBucket if there is no such object",
    "GetObject": "s3:GetObject, or s3:ListBucket if there is no such object",
    "GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjectsV2": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
    "DeleteBucket": "s3:DeleteBucket",
}
WHERE = 'docs/deploying.md, "Permissions", says how to get the policies that a deployment needs'


def missing(text: str) -> list[str]:
    """The rights that an answer of AWS, or a program's output, says are missing; each once."""
    found = _SAID.finditer(" ".join(text.split()))
    said = [one["action"] + (f" on {one['on'].rstrip('.,')}" if one["on"] else "") for one in found]
    return list(dict.fromkeys(said))


def advice(text: str) -> str:
    """A line on what is missing, to be added to an error; empty where nothing is."""
    rights = missing(text)
    return f"missing right: {'; '.join(rights)} ({WHERE})" if rights else ""


def explain(error: ClientError) -> str:
    """A line on the right that a refused request lacked; empty if it was refused otherwise."""
    if said := advice(str(error)):
        return said
    if str(error.response.get("Error", {}).get("Code", "")) not in _CODES:
        return ""
    operation = error.operation_name
    right = _S3_ACTIONS.get(operation, f"the one for {operation}; AWS names no action")
    return f"missing right: {right} ({WHERE})"
