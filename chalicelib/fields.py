"""The shapes of what callers send: one definition of each, with its limits."""

from typing import Annotated

from msgspec import Meta

from chalicelib import ids
from chalicelib.release_manifest import LATEST, VERSION

_NO_CONTROLS = r"\A[^\x00-\x1f\x7f]*\Z"
_NAME = r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z"
_HOSTNAME = r"\A[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\Z"
_TOKEN = r"\A[A-Za-z0-9_-]+\Z"  # noqa: S105 - a pattern
_FILENAME = r"\A(?!\.{1,2}\Z)[^\x00-\x1f\x7f/\\]+\Z"
_USERNAME = r"\A[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}\Z"

LONGEST_NAME = 63
Name = Annotated[str, Meta(pattern=_NAME, max_length=LONGEST_NAME)]
Hostname = Annotated[str, Meta(pattern=_HOSTNAME, max_length=253)]
ShortText = Annotated[str, Meta(pattern=_NO_CONTROLS, min_length=1, max_length=128)]
Note = Annotated[str, Meta(pattern=_NO_CONTROLS, min_length=1, max_length=500)]
LabelKey = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9._/-]{0,62}\Z", max_length=63)]
LabelValue = Annotated[str, Meta(pattern=_NO_CONTROLS, max_length=128)]
MOST_LABELS = 32
Labels = Annotated[dict[LabelKey, LabelValue], Meta(max_length=MOST_LABELS)]
Nonce = Annotated[str, Meta(pattern=_TOKEN, min_length=16, max_length=64)]
Cidr = Annotated[str, Meta(pattern=r"\A[0-9A-Fa-f.:/]+\Z", max_length=49)]
AgentId = Annotated[str, Meta(pattern=rf"\A{ids.AGENT}_{ids.BODY}\Z")]
EnvironmentId = Annotated[str, Meta(pattern=rf"\A{ids.ENVIRONMENT}_{ids.BODY}\Z")]
CollectorId = Annotated[str, Meta(pattern=rf"\A{ids.COLLECTOR}_{ids.BODY}\Z")]
AssetId = Annotated[str, Meta(pattern=rf"\A{ids.ASSET}_{ids.BODY}\Z")]
OrganizationId = Annotated[str, Meta(pattern=rf"\A{ids.ORGANIZATION}_{ids.BODY}\Z")]
ProjectId = Annotated[str, Meta(pattern=rf"\A{ids.PROJECT}_{ids.BODY}\Z")]
Pem = Annotated[str, Meta(pattern=r"\A[\x20-\x7e\r\n]+\Z", max_length=8192)]
Sequence = Annotated[int, Meta(ge=1, le=2**53)]
AgentVersion = Annotated[str, Meta(pattern=rf"\A(?!{LATEST}\Z){VERSION.pattern}\Z", max_length=64)]
"""Of a release: what is never published, no agent can be asked to have."""
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Filename = Annotated[str, Meta(pattern=_FILENAME, min_length=1, max_length=255)]
ContentType = Annotated[str, Meta(pattern=r"\A[a-z0-9.+-]+/[a-z0-9.+-]+\Z", max_length=100)]
Metadata = Annotated[dict[LabelKey, LabelValue], Meta(max_length=16)]
Username = Annotated[str, Meta(pattern=_USERNAME, max_length=128)]
"""Read without regard to case: what is kept and compared is its lower case."""
Password = Annotated[str, Meta(min_length=1, max_length=256)]
"""As it is sent; a new one is held to `credentials.password.check_new`, too."""
