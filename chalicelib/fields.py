"""The shapes of what callers send: one definition of each, with its limits and its rule in words.

Names, labels and filenames are brought to their one form (`names`) as they are read: a structure
with them is decoded with `read_field`, and its texts are made `plain` afterwards.
"""

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar

import msgspec
from msgspec import Meta

from chalicelib import ids, names
from chalicelib.release_manifest import LATEST, VERSION

Read = TypeVar("Read")
RULES: dict[str, str] = {}
"""What each pattern asks for, in words: a caller is never shown the pattern."""


def matching(
    pattern: str, rule: str, *, min_length: int | None = None, max_length: int | None = None
) -> Meta:
    """A pattern that a text must match, and what the sender of another text is told.

    Args:
        pattern: the regular expression, anchored at both ends.
        rule: goes on after "must be".
        min_length: in characters.
        max_length: in characters.
    """
    RULES[pattern] = rule
    return Meta(pattern=pattern, min_length=min_length, max_length=max_length)


def _identifier(kind: str, what: str) -> Meta:
    return matching(rf"\A{kind}_{ids.BODY}\Z", f"the identifier of {what}, as in {kind}_…")


class _Normal(str):
    """A text that is read in the normal form of names."""

    __slots__ = ()
    least: ClassVar[int] = 1
    most: ClassVar[int]

    @classmethod
    def read(cls, text: object) -> Self:
        """The text in its normal form.

        Raises:
            ValueError: it has none, in words for its sender.
        """
        if not isinstance(text, str):
            raise ValueError("must be text")  # noqa: TRY004 - a TypeError would be a defect
        found = cls.form(text)
        if len(found) < cls.least:
            raise ValueError("must not be empty")
        if len(found) > cls.most:
            raise ValueError(f"must have at most {cls.most} characters")
        if (point := names.unseen(found)) is not None:
            raise ValueError(
                f"must not hold {point}: it is a control character, shows nothing, or turns the"
                " direction of the text"
            )
        cls.check(found)
        return cls(found)

    @classmethod
    def form(cls, text: str) -> str:
        """The normal form."""
        return names.normal(text)

    @classmethod
    def check(cls, text: str) -> None:
        """What is asked beyond that; raises ValueError."""


class _DisplayName(_Normal):
    most = 128


class _LabelValue(_Normal):
    least, most = 0, 128


class _Filename(_Normal):
    most = 255

    @classmethod
    def check(cls, text: str) -> None:
        if text in {".", ".."} or "/" in text or "\\" in text:
            raise ValueError("must be the name of a file, without slash or backslash")


LONGEST_NAME = 63
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _Name(_Normal):
    most = LONGEST_NAME

    @classmethod
    def check(cls, text: str) -> None:
        if not _NAME.fullmatch(text):
            raise ValueError(
                "must be of letters a to z, digits, dots, underscores and hyphens, and begin with"
                " a letter or a digit"
            )


_HOSTNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")


class _Hostname(_Normal):
    most = 253

    @classmethod
    def form(cls, text: str) -> str:
        # The dot at the end stands for the root of all names; with and without, it is one host.
        return names.normal(text).removesuffix(".")

    @classmethod
    def check(cls, text: str) -> None:
        if not _HOSTNAME.fullmatch(text):
            raise ValueError(
                "must be of letters a to z, digits, dots, underscores and hyphens, with no dot or"
                " hyphen at its ends"
            )


if TYPE_CHECKING:
    DisplayName = str
    LabelValue = str
    Filename = str
    Name = str
    Hostname = str
else:
    DisplayName, LabelValue, Filename = _DisplayName, _LabelValue, _Filename
    Name, Hostname = _Name, _Hostname


def read_field(kind: type, value: object) -> object:
    """Msgspec's `dec_hook`: reads what has a normal form.

    Raises:
        ValueError: it has none, in words for its sender.
    """
    if issubclass(kind, _Normal):
        return kind.read(value)
    raise NotImplementedError(kind)


def convert(value: object, kind: type[Read]) -> Read:
    """One value as a field's kind, in its normal form.

    Raises:
        msgspec.ValidationError: it is none.
    """
    read: Read = plain(msgspec.convert(value, kind, dec_hook=read_field))
    return read


def plain(value: Any) -> Any:  # noqa: ANN401 - it is what was read
    """What was read, its texts as plain ones: encoders know no other kind. Structures change."""
    if isinstance(value, _Normal):
        return str(value)
    if isinstance(value, dict):
        return {plain(key): plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            found = getattr(value, name)
            if isinstance(found, (_Normal, dict, list, msgspec.Struct)):
                msgspec.structs.force_setattr(value, name, plain(found))
    return value


_NO_CONTROLS = r"\A[^\x00-\x1f\x7f]*\Z"
_NO_CONTROLS_RULE = "text without control characters"
PRINTABLE = r"\A[\x20-\x7e]+\Z"
PRINTABLE_RULE = "text of printable ASCII characters"
_SHA256 = r"\A[0-9a-f]{64}\Z"

ShortText = Annotated[str, matching(_NO_CONTROLS, _NO_CONTROLS_RULE, min_length=1, max_length=128)]
Note = Annotated[str, matching(_NO_CONTROLS, _NO_CONTROLS_RULE, min_length=1, max_length=500)]
LabelKey = Annotated[
    str,
    matching(
        r"\A[a-z0-9][a-z0-9._/-]{0,62}\Z",
        "of 1 to 63 lower-case letters a to z, digits, dots, underscores, slashes and hyphens,"
        " and begin with a letter or a digit",
        max_length=63,
    ),
]
MOST_LABELS = 32
Labels = Annotated[dict[LabelKey, LabelValue], Meta(max_length=MOST_LABELS)]
Nonce = Annotated[
    str,
    matching(
        r"\A[A-Za-z0-9_-]+\Z",
        "of the letters a to z, A to Z, digits, underscores and hyphens",
        min_length=16,
        max_length=64,
    ),
]
Cidr = Annotated[
    str,
    matching(
        r"\A[0-9A-Fa-f.:/]+\Z",
        "an address, or a network in CIDR notation as in 192.0.2.0/24",
        max_length=49,
    ),
]
AgentId = Annotated[str, _identifier(ids.AGENT, "an agent")]
EnvironmentId = Annotated[str, _identifier(ids.ENVIRONMENT, "an environment")]
CollectorId = Annotated[str, _identifier(ids.COLLECTOR, "a collector")]
AssetId = Annotated[str, _identifier(ids.ASSET, "an asset")]
OrganizationId = Annotated[str, _identifier(ids.ORGANIZATION, "an organization")]
ProjectId = Annotated[str, _identifier(ids.PROJECT, "a project")]
Pem = Annotated[
    str, matching(r"\A[\x20-\x7e\r\n]+\Z", "text in PEM form, of ASCII alone", max_length=8192)
]
Sequence = Annotated[int, Meta(ge=1, le=2**53)]
AgentVersion = Annotated[
    str,
    matching(
        rf"\A(?!{LATEST}\Z){VERSION.pattern}\Z",
        "a version of letters, digits, dots, plus signs and hyphens that begins with a letter or"
        f" a digit, and not the word {LATEST}",
        max_length=64,
    ),
]
"""Of a release: what is never published, no agent can be asked to have."""
Sha256 = Annotated[str, matching(_SHA256, "a SHA-256 as 64 hexadecimal digits in lower case")]
ContentType = Annotated[
    str,
    matching(
        r"\A[a-z0-9.+-]+/[a-z0-9.+-]+\Z",
        "a media type in lower case without parameters, as in application/gzip",
        max_length=100,
    ),
]
Metadata = Annotated[dict[LabelKey, LabelValue], Meta(max_length=16)]
Username = Annotated[
    str,
    matching(
        r"\A[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}\Z",
        "of 1 to 128 letters a to z, A to Z, digits, dots, underscores, hyphens, plus and at signs,"
        " and begin with a letter or a digit",
        max_length=128,
    ),
]
"""Read without regard to case: what is kept and compared is its lower case."""
Password = Annotated[str, Meta(min_length=1, max_length=256)]
"""As it is sent; a new one is held to `credentials.password.check_new`, too."""
