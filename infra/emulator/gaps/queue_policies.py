"""``AWS::SQS::QueuePolicy``."""

import json
from typing import Any

from moto.sqs.models import sqs_backends

from infra.emulator.gaps.template_types import TemplateType, register_type
from infra.emulator.patches import MotoObject

_TYPE = "AWS::SQS::QueuePolicy"


class QueuePolicyResource(TemplateType):
    """A policy put on queues; moto stores it and enforces nothing."""

    def __init__(self, physical_id: str, queues: list[str]) -> None:
        super().__init__(physical_id)
        self.queues = queues

    @staticmethod
    def cloudformation_type() -> str:
        """The type."""
        return _TYPE

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_: MotoObject,
    ) -> "QueuePolicyResource":
        """Put the policy on its queues."""
        properties = cloudformation_json["Properties"]
        document = json.dumps(properties["PolicyDocument"])
        names = [str(url).rsplit("/", 1)[-1] for url in properties["Queues"]]
        backend = sqs_backends[account_id][region_name]
        for name in names:
            backend.set_queue_attributes(name, {"Policy": document})
        return cls(resource_name, names)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        *,
        original_resource: MotoObject,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> "QueuePolicyResource":
        """Put the new policy on its queues."""
        del new_resource_name
        name = original_resource.physical_resource_id
        return cls.create_from_cloudformation_json(
            name, cloudformation_json, account_id, region_name
        )

    def delete(self, account_id: str, region_name: str) -> None:
        """Take the policy off."""
        backend = sqs_backends[account_id][region_name]
        for name in self.queues:
            if name in backend.queues:
                backend.queues[name].policy = None


def register() -> None:
    """Let templates use the type."""
    register_type(QueuePolicyResource)
