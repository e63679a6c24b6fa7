"""``AWS::Events::Connection`` and ``AWS::Events::ApiDestination``."""

from typing import Any

from moto.events.models import events_backends

from infra.emulator.gaps.template_types import TemplateType, register_type
from infra.emulator.patches import MotoObject


class _Named(TemplateType):
    """What both have in common: an update makes them anew under the same name."""

    attribute_names = ("Arn",)

    @staticmethod
    def cloudformation_name_type() -> str:
        """The property that holds the name."""
        return "Name"

    @classmethod
    def update_from_cloudformation_json(
        cls,
        *,
        original_resource: MotoObject,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> MotoObject:
        """Make it anew."""
        original_resource.delete(account_id, region_name)
        return cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )


class ConnectionResource(_Named):
    """How a destination is told who posts; the secret is stored, and nothing resolves it."""

    @staticmethod
    def cloudformation_type() -> str:
        """The type."""
        return "AWS::Events::Connection"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_: MotoObject,
    ) -> "ConnectionResource":
        """Create."""
        properties = cloudformation_json["Properties"]
        made = events_backends[account_id][region_name].create_connection(
            name=resource_name,
            description=properties.get("Description", ""),
            authorization_type=properties["AuthorizationType"],
            auth_parameters=properties["AuthParameters"],
        )
        return cls(resource_name, {"Arn": made.arn})

    def delete(self, account_id: str, region_name: str) -> None:
        """Delete."""
        events_backends[account_id][region_name].connections.pop(self.physical_resource_id, None)


class DestinationResource(_Named):
    """Where events are posted to; it is stored, and nothing is posted."""

    @staticmethod
    def cloudformation_type() -> str:
        """The type."""
        return "AWS::Events::ApiDestination"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_: MotoObject,
    ) -> "DestinationResource":
        """Create."""
        properties = cloudformation_json["Properties"]
        made = events_backends[account_id][region_name].create_api_destination(
            name=resource_name,
            description=properties.get("Description", ""),
            connection_arn=properties["ConnectionArn"],
            invocation_endpoint=properties["InvocationEndpoint"],
            invocation_rate_limit_per_second=properties.get("InvocationRateLimitPerSecond", 300),
            http_method=properties["HttpMethod"],
        )
        return cls(resource_name, {"Arn": made["ApiDestinationArn"]})

    def delete(self, account_id: str, region_name: str) -> None:
        """Delete."""
        events_backends[account_id][region_name].destinations.pop(self.physical_resource_id, None)


def register() -> None:
    """Let templates use the types."""
    register_type(ConnectionResource)
    register_type(DestinationResource)
