"""``AWS::SecretsManager::Secret``, with a generated value."""

import json
import secrets
import string
import uuid
from typing import Any

from moto.secretsmanager.models import secretsmanager_backends

from infra.emulator.gaps.template_types import TemplateType, register_type
from infra.emulator.patches import MotoObject

_TYPE = "AWS::SecretsManager::Secret"
_DEFAULT_LENGTH = 32


class SecretResource(TemplateType):
    """A secret of a stack; ``Ref`` is its ARN."""

    attribute_names = ("Id",)

    def __init__(self, arn: str, name: str, properties: dict[str, Any]) -> None:
        super().__init__(arn, {"Id": arn})
        self.secret_name = name
        self.properties = properties

    @staticmethod
    def cloudformation_type() -> str:
        """The type."""
        return _TYPE

    @staticmethod
    def cloudformation_name_type() -> str:
        """The property that holds the name."""
        return "Name"

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_: MotoObject,
    ) -> "SecretResource":
        """Create, and generate the value if so asked."""
        properties = cloudformation_json["Properties"]
        created = secretsmanager_backends[account_id][region_name].create_secret(
            name=resource_name,
            secret_string=_value(properties),
            secret_binary=None,
            description=properties.get("Description"),
            tags=properties.get("Tags", []),
            kms_key_id=properties.get("KmsKeyId"),
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        return cls(json.loads(created)["ARN"], resource_name, properties)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        *,
        original_resource: MotoObject,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> "SecretResource":
        """Update in place; a changed recipe generates a new value, as CloudFormation does."""
        properties = cloudformation_json["Properties"]
        if "Name" in properties and new_resource_name != original_resource.secret_name:
            original_resource.delete(account_id, region_name)
            return cls.create_from_cloudformation_json(
                new_resource_name, cloudformation_json, account_id, region_name
            )
        before = original_resource.properties
        recipe = ("GenerateSecretString", "SecretString")
        changed = any(before.get(key) != properties.get(key) for key in recipe)
        secretsmanager_backends[account_id][region_name].update_secret(
            secret_id=original_resource.secret_name,
            secret_string=_value(properties) if changed else None,
            client_request_token=str(uuid.uuid4()),  # moto refuses an update without one
            description=properties.get("Description"),
        )
        return cls(
            original_resource.physical_resource_id, original_resource.secret_name, properties
        )

    def delete(self, account_id: str, region_name: str) -> None:
        """Delete at once, as CloudFormation does."""
        secretsmanager_backends[account_id][region_name].delete_secret(
            self.physical_resource_id, None, force_delete_without_recovery=True
        )


def register() -> None:
    """Let templates use the type."""
    register_type(SecretResource)


def _value(properties: dict[str, Any]) -> str:
    if "SecretString" in properties:
        return str(properties["SecretString"])
    recipe = properties.get("GenerateSecretString")
    if recipe is None:
        return ""
    generated = _generate(recipe)
    if "GenerateStringKey" not in recipe:
        return generated
    filled = json.loads(recipe.get("SecretStringTemplate", "{}"))
    filled[recipe["GenerateStringKey"]] = generated
    return json.dumps(filled)


def _generate(recipe: dict[str, Any]) -> str:
    excluded = set(recipe.get("ExcludeCharacters", ""))
    groups = [
        "".join(char for char in characters if char not in excluded)
        for exclude, characters in (
            ("ExcludeLowercase", string.ascii_lowercase),
            ("ExcludeUppercase", string.ascii_uppercase),
            ("ExcludeNumbers", string.digits),
            ("ExcludePunctuation", string.punctuation),
        )
        if not _truth(recipe.get(exclude))
    ]
    if _truth(recipe.get("IncludeSpace")):
        groups.append(" ")
    groups = [group for group in groups if group]
    length = int(recipe.get("PasswordLength", _DEFAULT_LENGTH))
    required = [] if recipe.get("RequireEachIncludedType") is False else groups
    characters = [secrets.choice(group) for group in required][:length]
    everything = "".join(groups)
    characters += [secrets.choice(everything) for _ in range(length - len(characters))]
    secrets.SystemRandom().shuffle(characters)
    return "".join(characters)


def _truth(value: object) -> bool:
    return str(value).lower() == "true"
