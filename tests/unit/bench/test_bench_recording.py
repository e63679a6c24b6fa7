from typing import Any

import pytest

from bench.processes import ProcessError
from bench.warm import Recording

TABLE = "rollcall-bench-"


def put(table: str, key: str) -> dict[str, Any]:
    return {"Put": {"TableName": TABLE + table, "Item": {"pk": {"S": key}}}}


def update(table: str, key: str) -> dict[str, Any]:
    return {"Update": {"TableName": TABLE + table, "Key": {"pk": {"S": key}}}}


def recorded(*parts: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("GetItem", {"Key": {}}), ("TransactWriteItems", {"TransactItems": list(parts)})]


TOKEN = update("agent_enrollment_tokens", "org#tok")


@pytest.mark.parametrize(
    ("others", "created"),
    [
        ([put("agent_identities", "agent")], ["agent"]),
        ([put("agent_identities", "agent"), update("agent_identities", "machine")],
         ["agent", "machine"]),
        ([put("agent_enrollment_tokens", "receipt")], ["receipt"]),
        ([update("jobs", "other"), update("agent_identities", "machine")], ["other", "machine"]),
    ],
    ids=["one identity", "with its machine", "a receipt in the tokens' table", "two updates"],
)  # fmt: skip
def test_every_row_of_an_exchange_is_new_but_its_token(
    others: list[dict[str, Any]], created: list[str]
) -> None:
    for parts in ([*others, TOKEN], [TOKEN, *others]):
        recording = Recording.of(recorded(*parts))
        assert recording.token == (TABLE + "agent_enrollment_tokens", {"pk": {"S": "org#tok"}})
        assert recording.created == created


@pytest.mark.parametrize(
    "sent",
    [
        [],
        recorded(put("agent_identities", "agent")),
        recorded(TOKEN, update("agent_enrollment_tokens", "org#tok#shard")),
        recorded(TOKEN) * 2,
    ],
    ids=["nothing", "no token", "two rows of tokens", "two transactions"],
)
def test_an_exchange_that_its_floor_cannot_repeat_is_refused_in_words(
    sent: list[tuple[str, dict[str, Any]]],
) -> None:
    with pytest.raises(ProcessError, match="its floor repeats one"):
        Recording.of(sent)
