"""The floor of a cold start: the libraries are imported, and one item is written."""

import os
from typing import Any

import aws_lambda_powertools
import chalice
from pynamodb.connection import Connection
from pynamodb.models import Model

IMPORTED = (aws_lambda_powertools.Logger, aws_lambda_powertools.Metrics, chalice.Chalice, Model)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Write one item, by the client that pynamodb makes."""
    del context
    client: Any = Connection().client
    client.put_item(
        TableName=os.environ["ROLLCALL_TABLE_PREFIX"] + "jobs",
        Item={"pk": {"S": event["requestContext"]["requestId"]}},
    )
    return {"statusCode": 200}
