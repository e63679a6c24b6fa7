from collections.abc import Iterator
from types import MappingProxyType

import pytest
from moto import mock_aws

from infra.destroy import confirmed, destroy, explain
from infra.target import Target

ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)


class Person:
    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def ask(self, question: str) -> str:
        self.questions.append(question)
        return self.answers.pop(0)


@pytest.fixture
def target() -> Iterator[Target]:
    with mock_aws():
        yield Target("prod", ENVIRON)


@pytest.mark.parametrize("answer", ["", "y", "yes", "Prod", "dev"])
def test_anything_but_the_stages_name_is_a_no(target: Target, answer: str) -> None:
    assert not confirmed(target, purge=False, ask=Person(answer).ask)


def test_the_stages_name_is_a_yes(target: Target) -> None:
    assert confirmed(target, purge=False, ask=Person("prod").ask)


def test_a_purge_asks_a_second_time(target: Target) -> None:
    person = Person("prod", "prod")
    assert not confirmed(target, purge=True, ask=person.ask)
    assert len(person.questions) == 2
    assert confirmed(target, purge=True, ask=Person("prod", "purge prod").ask)


def test_what_is_kept_is_named(target: Target) -> None:
    target.client("dynamodb").create_table(
        TableName="rollcall-prod-jobs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    lines: list[str] = []
    explain(target, purge=False, say=lines.append)
    assert "  table rollcall-prod-jobs" in lines[lines.index("Kept:") :]


def test_destroying_what_is_not_there_is_no_error(target: Target) -> None:
    lines: list[str] = []
    destroy(target, say=lines.append)
    assert lines == ["stack rollcall-prod: there is none"]
