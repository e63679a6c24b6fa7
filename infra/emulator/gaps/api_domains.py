"""``AWS::ApiGateway::DomainName``: a custom domain that is kept, and that no DNS points at."""

from typing import Any

from moto.apigateway.models import apigateway_backends

from infra.emulator.gaps.template_types import TemplateType, register_type
from infra.emulator.patches import MotoObject

_NOT_REGIONAL = (
    "certificate_name",
    "certificate_arn",
    "certificate_body",
    "certificate_private_key",
    "certificate_chain",
    "regional_certificate_name",
)


class DomainResource(TemplateType):
    """A regional domain of API Gateway."""

    attribute_names = ("RegionalDomainName", "RegionalHostedZoneId")

    @staticmethod
    def cloudformation_type() -> str:
        """The type."""
        return "AWS::ApiGateway::DomainName"

    @staticmethod
    def cloudformation_name_type() -> str:
        """The property that holds the name."""
        return "DomainName"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_: MotoObject,
    ) -> "DomainResource":
        """Create."""
        properties = cloudformation_json["Properties"]
        backend = apigateway_backends[account_id][region_name]
        # Moto fails on a question for the mappings of a domain that has none.
        backend.base_path_mappings.setdefault(resource_name, {})
        made = backend.create_domain_name(
            domain_name=resource_name,
            regional_certificate_arn=properties["RegionalCertificateArn"],
            endpoint_configuration=properties.get("EndpointConfiguration"),
            security_policy=properties.get("SecurityPolicy"),
            tags=None,
            **dict.fromkeys(_NOT_REGIONAL),
        )
        values = (made.regional_domain_name, made.regional_hosted_zone_id)
        return cls(resource_name, dict(zip(cls.attribute_names, values, strict=True)))

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
        """Replace it."""
        original_resource.delete(account_id, region_name)
        return cls.create_from_cloudformation_json(
            new_resource_name, cloudformation_json, account_id, region_name
        )

    def delete(self, account_id: str, region_name: str) -> None:
        """Delete."""
        domains = apigateway_backends[account_id][region_name].domain_names
        domains.pop(self.physical_resource_id, None)


def register() -> None:
    """Let templates use the type."""
    register_type(DomainResource)
