"""``AWS::CloudWatch::Alarm``."""

from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from infra.emulator.gaps.template_types import TemplateType, register_type
from infra.emulator.patches import MotoObject

_TYPE = "AWS::CloudWatch::Alarm"


class AlarmResource(TemplateType):
    """An alarm of a stack; it is stored, and nothing evaluates it."""

    attribute_names = ("Arn",)

    @staticmethod
    def cloudformation_type() -> str:
        """The type."""
        return _TYPE

    @staticmethod
    def cloudformation_name_type() -> str:
        """The property that holds the name."""
        return "AlarmName"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_: MotoObject,
    ) -> "AlarmResource":
        """Create or overwrite."""
        properties = cloudformation_json["Properties"]
        backend = cloudwatch_backends[account_id][region_name]
        alarm = backend.put_metric_alarm(
            name=resource_name,
            namespace=properties.get("Namespace"),
            metric_name=properties.get("MetricName"),
            comparison_operator=properties["ComparisonOperator"],
            evaluation_periods=int(properties["EvaluationPeriods"]),
            datapoints_to_alarm=properties.get("DatapointsToAlarm"),
            period=properties.get("Period"),
            threshold=properties.get("Threshold"),
            statistic=properties.get("Statistic"),
            extended_statistic=properties.get("ExtendedStatistic"),
            description=properties.get("AlarmDescription"),
            dimensions=properties.get("Dimensions", []),
            alarm_actions=properties.get("AlarmActions", []),
            ok_actions=properties.get("OKActions", []),
            insufficient_data_actions=properties.get("InsufficientDataActions", []),
            unit=properties.get("Unit"),
            actions_enabled=properties.get("ActionsEnabled", True),
            treat_missing_data=properties.get("TreatMissingData"),
        )
        return cls(resource_name, {"Arn": alarm.alarm_arn})

    @classmethod
    def update_from_cloudformation_json(
        cls,
        *,
        original_resource: MotoObject,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> "AlarmResource":
        """Overwrite; a new name replaces."""
        named = "AlarmName" in cloudformation_json["Properties"]
        name = new_resource_name if named else original_resource.physical_resource_id
        if name != original_resource.physical_resource_id:
            original_resource.delete(account_id, region_name)
        return cls.create_from_cloudformation_json(
            name, cloudformation_json, account_id, region_name
        )

    def delete(self, account_id: str, region_name: str) -> None:
        """Delete."""
        cloudwatch_backends[account_id][region_name].delete_alarms([self.physical_resource_id])


def register() -> None:
    """Let templates use the type."""
    register_type(AlarmResource)
