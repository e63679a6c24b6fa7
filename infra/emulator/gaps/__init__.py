"""What moto's services lack or do differently, closed one gap per file."""

from infra.emulator.gaps import (
    actions,
    alarms,
    api_domains,
    attribute_values,
    bucket_policies,
    buckets,
    clocks,
    digests,
    event_buses,
    event_destinations,
    event_templates,
    expressions,
    keys,
    log_groups,
    notification_filters,
    presigned_posts,
    queue_policies,
    secrets,
    stack_updates,
    stream_records,
    tables,
    transactions,
)
from infra.emulator.patches import Patches


def close_gaps(patches: Patches) -> None:
    """Close all gaps; undoing the patches opens them again."""
    for gap in (tables, keys, buckets, bucket_policies, event_buses, log_groups, stack_updates):
        gap.close(patches)
    for gap in (digests, stream_records, transactions, presigned_posts, notification_filters):
        gap.close(patches)
    for shorter_way in (actions, attribute_values, clocks, event_templates, expressions):
        shorter_way.close(patches)
    # Types that moto does not know register themselves by being defined.
    for new_type in (alarms, api_domains, event_destinations, queue_policies, secrets):
        new_type.register()
