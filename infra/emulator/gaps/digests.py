"""KMS signatures over a digest."""

from contextvars import ContextVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from moto.kms.exceptions import ValidationException
from moto.kms.responses import KmsResponse
from moto.kms.utils import ECDSAPrivateKey

from infra.emulator.patches import MotoObject, Patches, require_parameters

_is_digest: ContextVar[bool] = ContextVar("is_digest", default=False)
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "ECDSA_SHA_256": hashes.SHA256(),
    "ECDSA_SHA_384": hashes.SHA384(),
    "ECDSA_SHA_512": hashes.SHA512(),
}


def close(patches: Patches) -> None:
    """Moto ignores ``MessageType=DIGEST`` and hashes the digest: nobody can verify that offline."""
    require_parameters(ECDSAPrivateKey.sign, "message", "signing_algorithm")
    require_parameters(ECDSAPrivateKey.verify, "message", "signature", "signing_algorithm")
    patches.wrap(KmsResponse, "sign", _remember_type)
    patches.wrap(KmsResponse, "verify", _remember_type)
    patches.wrap(ECDSAPrivateKey, "sign", _sign)
    patches.wrap(ECDSAPrivateKey, "verify", _verify)


def _remember_type(original: MotoObject) -> MotoObject:
    def operation(self: MotoObject) -> MotoObject:
        token = _is_digest.set(self._get_param("MessageType") == "DIGEST")
        try:
            return original(self)
        finally:
            _is_digest.reset(token)

    return operation


def _sign(original: MotoObject) -> MotoObject:
    def sign(self: MotoObject, message: bytes, signing_algorithm: str) -> MotoObject:
        if not _is_digest.get():
            return original(self, message, signing_algorithm)
        return self.private_key.sign(message, _prehashed(message, signing_algorithm))

    return sign


def _verify(original: MotoObject) -> MotoObject:
    def verify(
        self: MotoObject, message: bytes, signature: bytes, signing_algorithm: str
    ) -> MotoObject:
        if not _is_digest.get():
            return original(self, message, signature, signing_algorithm)
        scheme = _prehashed(message, signing_algorithm)
        try:
            self.private_key.public_key().verify(signature, message, scheme)
        except InvalidSignature:
            return False
        return True

    return verify


def _prehashed(digest: bytes, signing_algorithm: str) -> ec.ECDSA:
    algorithm = _HASHES[signing_algorithm]
    if len(digest) != algorithm.digest_size:
        raise ValidationException("Digest is invalid length for algorithm " + signing_algorithm)
    return ec.ECDSA(utils.Prehashed(algorithm))
