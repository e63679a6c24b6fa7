"""DynamoDB stream records: rolled-back transactions, unchanged items, forgotten positions."""

import copy

from moto.dynamodb.models.table import StreamRecord, StreamShard
from moto.dynamodbstreams.models import DynamoDBStreamsBackend, ShardIterator

from infra.emulator.patches import MotoObject, Patches


def close(patches: Patches) -> None:
    """Make moto's streams tell what the tables hold.

    A failing transaction makes moto put copies of the tables in place. A position in a stream
    keeps pointing to the discarded table: a reader sees the records that were rolled back, and
    none that come later. And every read leaves a position behind that nobody ever removes.
    """
    patches.wrap(ShardIterator, "get", _get)
    patches.wrap(DynamoDBStreamsBackend, "get_records", _get_records)
    patches.wrap(StreamShard, "add", _add)
    # A record never changes once it is written, so the copies may share it.
    patches.add(StreamRecord, "__deepcopy__", lambda self, _memo: self)


def _get(original: MotoObject) -> MotoObject:
    def get(self: MotoObject, limit: int = 1000) -> MotoObject:
        table = self.streams_backend.dynamodb.get_table(self.stream_shard.table.name)
        if table.stream_shard is not None:
            self.stream_shard = table.stream_shard
        return original(self, limit)

    return get


def _get_records(original: MotoObject) -> MotoObject:
    def get_records(self: MotoObject, iterator_arn: str, limit: int) -> MotoObject:
        answer = original(self, iterator_arn, limit)
        self.shard_iterators.pop(iterator_arn, None)
        return answer

    return get_records


def _add(original: MotoObject) -> MotoObject:
    def add(self: MotoObject, old: MotoObject, new: MotoObject) -> None:
        if old is not None and new is not None and old.to_json() == new.to_json():
            return  # DynamoDB writes no record when nothing changed
        # Moto's images are views of the live item.
        original(self, copy.deepcopy(old), copy.deepcopy(new))

    return add
