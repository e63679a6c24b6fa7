"""Exports made by hand, with a key of one's own, to tamper with."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from chalicelib import ids
from chalicelib.evidence import sealed_batch
from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record_form import form_hash
from chalicelib.evidence.sealed_batch import Leaf

START = 1_780_000_000_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000


@dataclass
class Export:
    """Records, the batches that seal them, and what the manifest says."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    organization: str = field(default_factory=lambda: ids.new(ids.ORGANIZATION))
    records: list[dict[str, Any]] = field(default_factory=list)
    batches: list[dict[str, Any]] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    previous: bytes = bytes(32)

    def record(self, minute: int) -> dict[str, Any]:
        """One more record of a minute."""
        made = {
            "id": ids.new(ids.AUDIT_RECORD),
            "time": rfc3339(START + minute * MINUTE_MS),
            "event": "agent.online",
            "detail": {"agent_id": "agt_1", "previous": "offline"},
        }
        self.records.append(made)
        return made

    def seal(
        self,
        records: list[dict[str, Any]],
        minute: int,
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> dict[str, Any]:
        """Seal records into the next batch."""
        leaves = [
            Leaf(one["id"], START + minute * MINUTE_MS, form_hash(one).hex()) for one in records
        ]
        header = sealed_batch.header_of(
            self.organization,
            len(self.batches) + 1,
            self.previous,
            leaves,
            sealed_at=START + (minute + 1) * MINUTE_MS,
            retained_ms=400 * DAY_MS,
        )
        scheme = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
        signature = (key or self.key).sign(header.digest(), scheme)
        made: dict[str, Any] = json.loads(
            sealed_batch.written(sealed_batch.signed(header, leaves, signature))
        )
        self.batches.append(made)
        self.previous = header.digest()
        return made

    def write(self, folder: Path) -> list[str]:
        """Write the files; the arguments that verify them."""
        folder.mkdir(exist_ok=True)
        for name, lines in (("records", self.records), ("batches", self.batches)):
            text = "".join(canonical(line).decode() + "\n" for line in lines)
            (folder / f"{name}.jsonl").write_text(text)
        if self.manifest:
            (folder / "manifest.json").write_text(json.dumps(self.manifest))
        pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (folder / "key.pem").write_bytes(pem)
        return ["verify", "--export", str(folder), "--public-key", str(folder / "key.pem")]

    def head(self) -> str:
        """The chain's head, as an option."""
        return f"{len(self.batches)}:{self.previous.hex()}"


def three_batches() -> Export:
    """Nine records in three batches, a minute apart."""
    export = Export()
    for minute in (0, 1, 2):
        export.seal([export.record(minute) for _ in range(3)], minute)
    return export
