"""Signs with the stage's KMS key: ECDSA over P-256 and SHA-256, which anyone can verify offline."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

_INVALID = "KMSInvalidSignatureException"


class Signer:
    """The stage's key.

    Args:
        client: of KMS.
        key: its ARN.
    """

    def __init__(self, client: "KMSClient", key: str) -> None:
        self._client = client
        self._key = key

    def sign(self, digest: bytes) -> bytes:
        """The signature of a SHA-256 digest, in DER.

        Raises:
            Unavailable: KMS did not answer, or refuses.
        """
        try:
            answer = self._client.sign(
                KeyId=self._key,
                Message=digest,
                MessageType="DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            )
        except (ClientError, BotoCoreError) as error:
            raise _unavailable(error) from error
        return answer["Signature"]

    def signed(self, digest: bytes, signature: bytes) -> bool:
        """Whether a signature is this key's.

        Raises:
            Unavailable: KMS did not answer, or refuses.
        """
        if not signature:
            return False  # KMS takes no empty one
        try:
            answer = self._client.verify(
                KeyId=self._key,
                Message=digest,
                MessageType="DIGEST",
                Signature=signature,
                SigningAlgorithm="ECDSA_SHA_256",
            )
        except ClientError as error:
            if error.response["Error"].get("Code") == _INVALID:
                return False
            raise _unavailable(error) from error
        except BotoCoreError as error:
            raise _unavailable(error) from error
        return answer["SignatureValid"]


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        "The signing key did not answer.",
        code="signing_key_unavailable",
        cause=f"{type(error).__name__}: {error}",
    )
