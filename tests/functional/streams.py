"""The tables' real streams, read as an event source mapping reads them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config


class Stream:
    """What is written to a table from now on, in the form that a function gets.

    Args:
        arn: the stream's, as the template's outputs say it.
    """

    def __init__(self, arn: str) -> None:
        # Moto does not know the account's own host name of this service.
        config = Config(account_id_endpoint_mode="disabled")
        self._client = boto3.client("dynamodbstreams", config=config)
        # The outputs are moto's; the engine that has the table has a stream of its own.
        table = boto3.client("dynamodb").describe_table(TableName=arn.split("/")[1])["Table"]
        arn = table["LatestStreamArn"]
        described = self._client.describe_stream(StreamArn=arn)["StreamDescription"]
        (shard,) = described["Shards"]
        self._iterator = self._client.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="LATEST"
        )["ShardIterator"]

    def read(self) -> list[dict[str, Any]]:
        """The records since the last look; what JSON has no word for does not occur in them."""
        answer = self._client.get_records(ShardIterator=self._iterator)
        self._iterator = answer["NextShardIterator"]
        records: list[dict[str, Any]] = json.loads(json.dumps(answer["Records"], default=str))
        return records


class Queue:
    """A queue that is read to its end."""

    def __init__(self, url: str) -> None:
        self._client = boto3.client("sqs")
        self.url = url

    def read(self) -> list[Any]:
        """The bodies of all messages, which are removed."""
        bodies = []
        while messages := self._client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10
        ).get("Messages", []):
            for message in messages:
                bodies.append(json.loads(message["Body"]))
                self._client.delete_message(
                    QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"]
                )
        return bodies


@contextmanager
def subscribed(bus: str) -> Iterator[Queue]:
    """A queue that gets every event of the bus."""
    sqs, events = boto3.client("sqs"), boto3.client("events")
    url = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = json.dumps({"source": ["rollcall"]})
    events.put_rule(Name="all", EventBusName=bus, EventPattern=pattern)
    events.put_targets(
        Rule="all", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}]
    )
    try:
        yield Queue(url)
    finally:
        events.remove_targets(Rule="all", EventBusName=bus, Ids=["queue"])
        events.delete_rule(Name="all", EventBusName=bus)
        sqs.delete_queue(QueueUrl=url)
