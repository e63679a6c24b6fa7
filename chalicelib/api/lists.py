"""Which environments a list runs over: those that the caller may see."""

from chalicelib.api.callers import Caller
from chalicelib.flows import environment_lists
from chalicelib.store.organizations import OrganizationItem


def environments(caller: Caller, given: dict[str, str]) -> list[str]:
    """The environments of a list: the one that the query names, or all, as far as visible.

    Another organization's environment is treated as one that is nowhere: an empty list.
    """
    row = caller.row if isinstance(caller.row, OrganizationItem) else None
    if "environment" in given:
        return environment_lists.visible(caller.operator, [] if row is None else [row])
    return environment_lists.visible(
        caller.operator, environment_lists.all_of(caller.origin.organization)
    )
