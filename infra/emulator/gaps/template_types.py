"""Resource types that moto's CloudFormation does not know."""

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel

from infra.emulator.patches import MotoObject, PatchError


class TemplateType(CloudFormationModel):  # type: ignore[misc] # moto is not typed here
    """What the new types have in common.

    Args:
        physical_id: What ``Ref`` gives.
        attributes: What ``Fn::GetAtt`` gives.
    """

    attribute_names: tuple[str, ...] = ()

    def __init__(self, physical_id: str, attributes: dict[str, str] | None = None) -> None:
        self.physical_resource_id = physical_id
        self.attributes = attributes or {}

    @staticmethod
    def cloudformation_type() -> str:
        """No type of its own."""
        return "Emulator::TemplateType"

    @staticmethod
    def cloudformation_name_type() -> str:
        """No name property."""
        return ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Whether ``Fn::GetAtt`` knows the attribute."""
        return attr in cls.attribute_names

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """The value of an attribute."""
        return self.attributes[attribute_name]


_registered: list[type[TemplateType]] = []


def register_type(own: type[TemplateType]) -> None:
    """Let templates use a type, and check that moto has not learned it itself.

    Raises:
        PatchError: It has.
    """
    if own not in _registered:
        _registered.append(own)
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
    known = parsing.get_model_list()
    if any(_type_of(model) == own.cloudformation_type() for model in known):
        message = f"moto knows {own.cloudformation_type()} by now; the emulator need not add it"
        raise PatchError(message)
    # Moto lists the direct subclasses of its model only, so these are put on its list by hand.
    known.extend(_registered)


def _type_of(model: MotoObject) -> str:
    try:
        return str(model.cloudformation_type())
    except NotImplementedError:
        return ""
