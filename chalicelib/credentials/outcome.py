"""What came of looking at a credential: a value, because a denial is no surprise."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Claims = TypeVar("Claims")


@dataclass(frozen=True, slots=True)
class Verified(Generic[Claims]):
    """The credential is well-formed (and signed, where its family signs); authority is the row."""

    claims: Claims


@dataclass(frozen=True, slots=True)
class Rejected:
    """The credential is not one of ours; `reason` is a code of the public answer."""

    reason: str
