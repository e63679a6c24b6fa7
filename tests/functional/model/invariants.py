"""What must hold after each step: the laws by themselves, and the tables as the model has them."""

from collections import Counter
from typing import Any

from tests.functional.model.snapshot import Snapshot
from tests.functional.model.state import State, sha256

Rendered = dict[str, Any]


def laws(now: Snapshot, before: Snapshot | None, state: State) -> None:
    """Check what needs no model: it holds whatever was asked for."""
    rows = now.rows("agent_identities")
    agents = {row["agent_id"]: row for row in rows if "status" in row}
    made = Counter(agent["token"] for agent in agents.values())
    rows = now.rows("agent_enrollment_tokens")
    for token in rows:
        if _is_token(token):
            uses = _uses(token, rows)
            assert uses == made[token["token"]], "a use without an agent, or the reverse"
            assert uses <= token["max_uses"], "a token was oversold"
        elif "agent" in token:
            assert token["agent"] in agents, "a receipt of no agent"
    living = [agent for agent in agents.values() if agent["status"] == "active"]
    names = [(agent["environment"], agent["name"].lower()) for agent in living]
    assert len(names) == len(set(names)), "two agents with one name"
    for job in now.rows("jobs"):
        if job["status"] == "done":
            left = [agent for agent in living if agent["token"] == job["target"]]
            assert not left, "a job that is done, and an agent of it that lives"
    _is_append_only(now, before)
    assert {row["organization"] for row in now.rows("audit_records")} <= {
        organization for _, _, _, organization, _, _ in state.evidence
    }


def _is_token(row: Rendered) -> bool:
    """Whether it is no counter, receipt or attempt, which live in the same table."""
    return "environment" in row and "max_uses" in row


def _uses(token: Rendered, rows: list[Rendered]) -> int:
    """A token's uses, which rows of their own may count."""
    counted = (row for row in rows if row["token"] == token["token"] and "agent" not in row)
    return sum(int(row.get("uses", 0)) for row in counted)


def _is_append_only(now: Snapshot, before: Snapshot | None) -> None:
    for key, row in (before.tables["audit_records"] if before else {}).items():
        assert now.tables["audit_records"].get(key) == row, "an audit record was changed"


def observed(snapshot: Snapshot) -> Rendered:
    """The tables as `expected` renders the model."""
    tokens = snapshot.rows("agent_enrollment_tokens")
    identities = snapshot.rows("agent_identities")
    artifacts = snapshot.rows("artifacts")
    return {
        "tokens": {
            row["pk"]: (row["status"], _uses(row, tokens), row["max_uses"], row["expires_at"])
            for row in tokens
            if _is_token(row)
        },
        "receipts": {
            row["pk"]: (row["agent"], row["key_digest"].hex(), row["created_at"])
            for row in tokens
            if "agent" in row
        },
        "agents": {
            row["pk"]: (row["name"], row["status"], row["token"])
            for row in identities
            if "status" in row
        },
        "names": {
            row["pk"]: row["agent_id"]
            for row in identities
            # With a time of revocation the name is free, and says only who had it.
            if "#name#" in row["pk"] and "revoked_at" not in row
        },
        "presence": {
            row["pk"]: _presence(row) for row in snapshot.rows("agent_presence") if "s" in row
        },
        "revocations": {row["pk"] for row in snapshot.rows("agent_revocations")},
        "artifacts": {
            (row["pk"], row["item"]): (row["status"], row.get("reason"), row["created_at"])
            for row in artifacts
            if "status" in row
        },
        "announced": {
            (row["pk"], row["item"]): row["announced"] for row in artifacts if "announced" in row
        },
        "jobs": {
            row["pk"]: (row["status"], row["step"], row["processed"], row["attempts"])
            for row in snapshot.rows("jobs")
        },
        "evidence": Counter(
            (
                row["event"],
                row["outcome"],
                row.get("reason"),
                row["organization"],
                row["resource_id"],
                row["at"],
            )
            for row in snapshot.rows("audit_records")
        ),
    }


def _presence(row: Rendered) -> tuple[Any, ...]:
    due = int(row["due"].split("#")[0]) if "due" in row else None
    fields = (row.get(name) for name in ("i", "q", "b", "l", "n"))
    pending = row["p"].hex() if row.get("p") not in (None, row["k"]) else None
    return (row["s"], row["k"].hex(), pending, *fields, due)


def expected(state: State) -> Rendered:
    """The model as the tables should show it."""
    agents = {f"{agent.organization}#{agent.id}": agent for agent in state.agents.values()}
    return {
        "tokens": {
            f"{token.organization}#{token.id}": (
                token.status,
                len(token.agents),
                token.max_uses,
                token.expires_at,
            )
            for token in state.tokens.values()
        },
        "receipts": {
            f"{token.organization}#{token.id}#{sha256(asked)}": (
                receipt.agent,
                sha256(receipt.key),
                receipt.created_at,
            )
            for token in state.tokens.values()
            for asked, receipt in token.receipts.items()
        },
        "agents": {
            pk: (agent.name, "active" if agent.lives else "revoked", agent.token)
            for pk, agent in agents.items()
        },
        "names": {
            f"{agent.organization}#{agent.environment}#name#{agent.name.lower()}": agent.id
            for agent in agents.values()
            if agent.lives
        },
        "presence": {
            pk: (
                agent.status,
                sha256(agent.key.raw),
                sha256(agent.pending.raw) if agent.pending else None,
                agent.instance,
                agent.sequence,
                agent.nonce,
                agent.last_seen,
                agent.next_allowed,
                agent.due,
            )
            for pk, agent in agents.items()
        },
        "revocations": {pk for pk, agent in agents.items() if not agent.lives},
        **_of_artifacts(state),
        "jobs": {
            f"{job.organization}#{job.id}": (job.status, job.step, job.processed, job.attempts)
            for job in state.jobs.values()
        },
        "evidence": state.evidence,
    }


def _of_artifacts(state: State) -> Rendered:
    def pk(agent: str) -> str:
        return f"{state.agents[agent].organization}#{agent}"

    return {
        "artifacts": {
            (pk(artifact.agent), artifact.id): (
                artifact.status,
                artifact.reason,
                artifact.created_at,
            )
            for artifact in state.artifacts.values()
        },
        "announced": {
            (pk(agent), f"hour#{hour}"): count for (agent, hour), count in state.announced.items()
        },
    }


def difference(found: Rendered, wanted: Rendered) -> str:
    """Where the tables are not as the model has them; empty where they are."""
    lines = []
    for section, rows in wanted.items():
        if found[section] == rows:
            continue
        items = rows.items() if isinstance(rows, dict) else [(row, True) for row in rows]
        others = found[section]
        seen = others.items() if isinstance(others, dict) else [(row, True) for row in others]
        lines += [f"{section}: not there: {item}" for item in items if item not in seen]
        lines += [f"{section}: not in the model: {item}" for item in seen if item not in items]
    return "\n".join(lines)
