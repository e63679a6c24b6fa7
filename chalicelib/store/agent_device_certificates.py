"""The device certificates of agents; for now records of a CSR, marked as placeholders."""

from pynamodb.attributes import BooleanAttribute, NumberAttribute, UnicodeAttribute

from chalicelib.store.table import StageTable, Table
from chalicelib.store.transaction import Transaction


class AgentDeviceCertificateItem(Table):
    """A row of `agent_device_certificates`. The CSR itself is not kept, only its hash."""

    class Meta:
        table_name = StageTable("agent_device_certificates")

    pk = UnicodeAttribute(hash_key=True)
    certificate_id = UnicodeAttribute(range_key=True)
    csr_sha256 = UnicodeAttribute()
    public_key_sha256 = UnicodeAttribute()
    key_type = UnicodeAttribute()
    placeholder = BooleanAttribute()
    created_at = NumberAttribute()


def find(organization: str, agent: str, certificate: str) -> AgentDeviceCertificateItem | None:
    """A certificate's record, as it is now."""
    return AgentDeviceCertificateItem.read(f"{organization}#{agent}", certificate)


def put(
    transaction: Transaction,
    organization: str,
    agent: str,
    certificate: str,
    *,
    csr_sha256: str,
    public_key_sha256: str,
    key_type: str,
    now: int,
) -> None:
    """Add the record of a certificate that is asked for (part `certificate`)."""
    transaction.put(
        "certificate",
        AgentDeviceCertificateItem(
            f"{organization}#{agent}",
            certificate,
            csr_sha256=csr_sha256,
            public_key_sha256=public_key_sha256,
            key_type=key_type,
            placeholder=True,
            created_at=now,
        ),
        AgentDeviceCertificateItem.pk.does_not_exist(),
    )
