"""The one list of event names."""

from chalicelib.evidence import (
    agent_events,
    events,
    federation_events,
    login_events,
    member_events,
    organization_events,
)

ALL: dict[str, type[events.Detail]] = {
    detail.NAME: detail
    for module in (
        agent_events,
        events,
        federation_events,
        login_events,
        member_events,
        organization_events,
    )
    for detail in vars(module).values()
    if isinstance(detail, type) and issubclass(detail, events.Detail) and detail.NAME
}
