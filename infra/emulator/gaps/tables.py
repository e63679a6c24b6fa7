"""DynamoDB tables of a template: TTL, point-in-time recovery, encryption, updates."""

from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

from infra.emulator.patches import MotoObject, PatchError, Patches


def close(patches: Patches) -> None:
    """Moto creates the table and its indexes, forgets the rest, and drops an updated table."""
    patches.wrap(Table, "create_from_cloudformation_json", _create)
    patches.add(Table, "update_from_cloudformation_json", classmethod(_update))


def _create(original: MotoObject) -> MotoObject:
    def create(
        cls: MotoObject,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **kwargs: MotoObject,
    ) -> MotoObject:
        del cls
        properties = dict(cloudformation_json["Properties"])
        encryption = properties.get("SSESpecification")
        if encryption is not None:
            # CloudFormation says SSEEnabled where the API, and moto, say Enabled.
            properties["SSESpecification"] = {
                **encryption,
                "Enabled": _truth(encryption.get("SSEEnabled")),
            }
        given = {**cloudformation_json, "Properties": properties}
        table = original(resource_name, given, account_id, region_name, **kwargs)
        table.deletion_protection_enabled = _truth(properties.get("DeletionProtectionEnabled"))
        _apply(table, properties, account_id, region_name)
        return table

    return create


def _apply(
    table: MotoObject, properties: dict[str, Any], account_id: str, region_name: str
) -> None:
    backend = dynamodb_backends[account_id][region_name]
    if time_to_live := properties.get("TimeToLiveSpecification"):
        backend.update_time_to_live(
            table.name, {**time_to_live, "Enabled": _truth(time_to_live.get("Enabled"))}
        )
    if recovery := properties.get("PointInTimeRecoverySpecification"):
        wanted = _truth(recovery.get("PointInTimeRecoveryEnabled"))
        backend.update_continuous_backups(
            table.name, {**recovery, "PointInTimeRecoveryEnabled": wanted}
        )


def _update(
    cls: MotoObject,
    *,
    original_resource: MotoObject,
    new_resource_name: str,
    cloudformation_json: dict[str, Any],
    account_id: str,
    region_name: str,
) -> MotoObject:
    del cls, new_resource_name
    properties = cloudformation_json["Properties"]
    backend = dynamodb_backends[account_id][region_name]
    table = backend.get_table(original_resource.name)
    if table.name != properties.get("TableName", table.name):
        raise PatchError("the emulator does not replace a table in an update")
    if properties.get("KeySchema", table.schema) != table.schema:
        raise PatchError("the emulator does not change a table's keys in an update")
    table.attr = properties.get("AttributeDefinitions", table.attr)
    table.deletion_protection_enabled = _truth(properties.get("DeletionProtectionEnabled"))
    backend.update_table_global_indexes(table, _index_changes(table, properties))
    stream = properties.get("StreamSpecification")
    if stream and not table.latest_stream_label:
        table.set_stream_specification(dict(stream))
    if encryption := properties.get("SSESpecification"):
        key = encryption.get("KMSMasterKeyId")
        table.sse_specification = {
            "Enabled": _truth(encryption.get("SSEEnabled")),
            "KMSMasterKeyId": key or table._get_default_encryption_key(account_id, region_name),  # noqa: SLF001
        }
    _apply(table, properties, account_id, region_name)
    return table


def _index_changes(table: MotoObject, properties: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = {index["IndexName"]: index for index in properties.get("GlobalSecondaryIndexes", [])}
    present = {index.name for index in table.global_indexes}
    changes: list[dict[str, Any]] = [
        {"Delete": {"IndexName": name}} for name in sorted(present - set(wanted))
    ]
    return changes + [{"Create": wanted[name]} for name in wanted if name not in present]


def _truth(value: object) -> bool:
    return str(value).lower() == "true"
