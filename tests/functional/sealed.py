"""What lies in the evidence bucket, read as an outsider reads it."""

from dataclasses import dataclass
from typing import Any

import boto3
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from chalicelib import ids, runtime
from chalicelib.evidence.canonical import canonical
from chalicelib.evidence.events import AgentRestarted
from chalicelib.evidence.record import Origin, success
from chalicelib.evidence.sealed_batch import SealedBatch, parsed
from chalicelib.store import audit_records
from chalicelib.store.evidence_bucket import batch_key
from chalicelib.store.transaction import Transaction
from tests.functional.deliveries import invoke, shaped
from tests.functional.streams import Stream


@dataclass
class Evidence:
    """An organization of one's own, its records, and its chain.

    Args:
        outputs: the stack's.
        now: milliseconds since the epoch.
    """

    outputs: dict[str, str]
    now: int

    def __post_init__(self) -> None:
        self.organization = ids.new(ids.ORGANIZATION)
        self.s3 = boto3.client("s3")
        self.bucket = self.outputs["EvidenceBucketName"]

    def append(self, count: int, *, at: int | None = None) -> list[str]:
        """Write records as a flow does; their identifiers."""
        made = []
        for number in range(count):
            moment = (self.now if at is None else at) + number
            origin = Origin(self.organization, "system", "test", f"r-{number}", None, moment)
            evidence = success(
                origin, AgentRestarted(agent_id="agt_1"), resource=("agent", "agt_1")
            )
            transaction = Transaction()
            audit_records.put(transaction, evidence)
            assert transaction.write() is None
            made.append(evidence.id)
        return made

    def numbers(self) -> list[int]:
        """Which batches there are."""
        prefix = f"batches/{self.organization}/"
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [int(one["Key"].removeprefix(prefix).removesuffix(".json")) for one in listed]

    def batch(self, number: int) -> SealedBatch:
        """One of them."""
        key = batch_key(self.organization, number)
        return parsed(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def chain(self) -> list[SealedBatch]:
        """All, after a look at their links and signatures."""
        batches = [self.batch(number) for number in self.numbers()]
        assert [batch.header.number for batch in batches] == list(range(1, len(batches) + 1))
        previous = bytes(32)
        for batch in batches:
            assert batch.flaw() is None
            assert batch.header.organization == self.organization
            assert batch.header.previous == previous.hex()
            previous = batch.header.digest()
            self.public_key().verify(
                batch.raw_signature(), previous, ec.ECDSA(utils.Prehashed(hashes.SHA256()))
            )
        return batches

    def sealed_ids(self) -> list[str]:
        """The records in all batches, in order."""
        return [leaf.id for batch in self.chain() for leaf in batch.leaves]

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The stage's."""
        answer = boto3.client("kms").get_public_key(KeyId=self.outputs["SigningKeyArn"])
        key = serialization.load_der_public_key(answer["PublicKey"])
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return key

    def hide(self, *numbers: int) -> None:
        """Put a delete marker over batches; the locked versions stay."""
        for number in numbers:
            self.s3.delete_object(Bucket=self.bucket, Key=batch_key(self.organization, number))

    def put(self, number: int, body: Any) -> None:
        """Put something where a batch belongs, as somebody with rights to the bucket can."""
        raw = body if isinstance(body, bytes) else canonical(body)
        self.s3.put_object(
            Bucket=self.bucket, Key=batch_key(self.organization, number), Body=raw,
            ChecksumAlgorithm="SHA256",
        )  # fmt: skip


def read(trail: Stream, stack: dict[str, str]) -> list[dict[str, Any]]:
    """What the stream has since the last look, as a function gets it."""
    return shaped(trail.read(), stack["AuditRecordsStreamArn"])


def deliver(records: list[dict[str, Any]]) -> None:
    """Give records to the sealer, as Lambda does."""
    invoke("seal_evidence", {"Records": records})


def s3_client() -> Any:
    """The sealer's."""
    return runtime.current().evidence_bucket._client


def kms_client() -> Any:
    """The sealer's."""
    return runtime.current().signer._client
