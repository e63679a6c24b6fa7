"""Agents by what they belong to: as the indexes of `agent_identities` know them."""

from collections.abc import Iterator

from chalicelib import names
from chalicelib.store.agent_identities import AgentIdentityItem
from chalicelib.store.connection import guarded
from chalicelib.store.paging import HIGHEST, LOWEST, SHARDS, Span, merged, shard_key


def listed(
    organization: str, environment: str, span: Span, name: str | None = None
) -> Iterator[AgentIdentityItem]:
    """An environment's agents in order of their names, or those whose name begins so."""
    shards = [shard_key(organization, environment, shard=shard) for shard in range(SHARDS)]
    begins = names.folded(name) if name else ""
    bounds = (begins, begins + HIGHEST) if begins else (LOWEST, HIGHEST)
    return merged(
        AgentIdentityItem.by_environment, shards, AgentIdentityItem.name_key, span, bounds
    )


def count_in(organization: str, environment: str) -> int:
    """How many agents an environment has, as far as the index knows."""
    with guarded():
        return sum(
            AgentIdentityItem.by_environment.count(shard_key(organization, environment, shard=n))
            for n in range(SHARDS)
        )


def created_by(organization: str, token: str) -> Iterator[str]:
    """The agents that a token created, in no order; an index, so a fresh one may be missing."""
    for shard in range(SHARDS):
        with guarded():
            rows = AgentIdentityItem.by_token.query(shard_key(organization, token, shard=shard))
            for row in rows:
                yield row.agent_id
