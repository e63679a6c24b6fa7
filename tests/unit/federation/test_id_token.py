"""An ID token is believed when its provider signed it for us, now, and for this login."""

import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from chalicelib.federation import id_token
from chalicelib.federation.failures import ProviderError, TokenError
from chalicelib.federation.id_token import Expected
from tests.unit.federation import forge
from tests.unit.federation.forge import CLIENT, EC, ISSUER, KEYS, NONCE, NOW, RSA, claims, signed

EXPECTED = Expected(ISSUER, CLIENT, NONCE, NOW * 1000)


def verify(raw: str, *keys: Any) -> dict[str, Any]:
    """What a login does with a token and a provider's set of keys."""
    published = json.dumps({"keys": [forge.public(key) for key in keys]}).encode()
    said = id_token.header(raw)
    found = id_token.candidates(id_token.keys_of(published), said)
    if not found:
        raise TokenError("key_unknown")
    return id_token.verified(raw, found[0], said, EXPECTED)


def refused(raw: str, *keys: Any) -> str:
    with pytest.raises(TokenError) as caught:
        verify(raw, *(keys or (RSA, EC)))
    return caught.value.reason


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_good_token_is_believed(algorithm: str) -> None:
    found = verify(signed(KEYS[algorithm], algorithm, claims(groups=["a"])), *KEYS.values())
    assert found["sub"] == "subject"
    assert found["groups"] == ["a"]


def test_a_token_without_a_signature_is_refused() -> None:
    for raw in (forge.unsigned(), forge.unsigned(kid="rsa"), forge.unsigned(alg="None")):
        assert refused(raw) == "algorithm_refused"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_token_that_takes_the_public_key_for_a_secret_is_refused(algorithm: str) -> None:
    for secret in (
        RSA.as_pem(private=False),
        json.dumps(forge.public(RSA)).encode(),
        b"the client's own secret, which is long enough",
    ):
        try:
            raw = forge.signed_with_text(secret, algorithm)
        except ValueError:  # the forger's own library is on guard for PEM
            header = forge.encoded(json.dumps({"alg": algorithm, "kid": "rsa"}).encode())
            raw = f"{header}.{forge.encoded(json.dumps(claims()).encode())}.c2ln"
        assert refused(raw) == "algorithm_refused"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS512"])
def test_an_algorithm_that_is_not_on_the_list_is_refused(algorithm: str) -> None:
    assert refused(signed(RSA, algorithm)) == "algorithm_refused"


def test_another_key_under_the_known_name_proves_nothing() -> None:
    other = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
    assert refused(signed(other, "RS256")) == "signature_invalid"


def test_a_key_in_the_header_is_not_believed() -> None:
    other = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
    raw = signed(other, "RS256", jwk=forge.public(other), jku="https://evil.example/keys")
    assert refused(raw) == "signature_invalid"


def test_every_part_is_covered_by_the_signature() -> None:
    head, body, signature = signed(RSA, "RS256").split(".")
    other = forge.encoded(json.dumps(claims(sub="admin")).encode())
    assert refused(f"{head}.{other}.{signature}") == "signature_invalid"
    assert refused(f"{head}.{body}.{signature[:-8]}AAAAAAAA") == "signature_invalid"
    assert refused(f"{head}.{body}.") == "signature_invalid"
    longer = forge.encoded(json.dumps({"alg": "RS256", "kid": "rsa", "x": 1}).encode())
    assert refused(f"{longer}.{body}.{signature}") == "signature_invalid"


def test_an_algorithm_of_another_kind_of_key_finds_no_key() -> None:
    head = forge.encoded(json.dumps({"alg": "ES256", "kid": "rsa"}).encode())
    _, body, signature = signed(RSA, "RS256").split(".")
    assert refused(f"{head}.{body}.{signature}") == "key_unknown"


def test_a_curve_of_another_algorithm_proves_nothing() -> None:
    other = ECKey.generate_key("P-384", {"kid": "ec"}, private=True)
    head = forge.encoded(json.dumps({"alg": "ES256", "kid": "ec"}).encode())
    _, body, signature = signed(other, "ES384").split(".")
    assert refused(f"{head}.{body}.{signature}", other) == "signature_invalid"


def test_a_short_key_proves_nothing() -> None:
    short = RSAKey.generate_key(1024, {"kid": "rsa"}, private=True)
    assert refused(signed(short, "RS256"), short) == "key_refused"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "https://other.example"}, "issuer_mismatch"),
        ({"iss": ISSUER + "/"}, "issuer_mismatch"),
        ({"iss": None}, "claims_malformed"),
        ({"aud": "another"}, "audience_mismatch"),
        ({"aud": ["another"]}, "audience_mismatch"),
        ({"aud": []}, "audience_mismatch"),
        ({"aud": None}, "claims_malformed"),
        ({"aud": {"rollcall": 1}}, "claims_malformed"),
        ({"aud": [CLIENT, "another"]}, "party_mismatch"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "party_mismatch"),
        ({"azp": "another"}, "party_mismatch"),
        ({"nonce": "m" * 43}, "nonce_mismatch"),
        ({"nonce": None}, "claims_malformed"),
        ({"nonce": ""}, "nonce_mismatch"),
        ({"exp": NOW - 60}, "expired"),
        ({"exp": None}, "claims_malformed"),
        ({"exp": "tomorrow"}, "claims_malformed"),
        ({"iat": NOW + 61}, "not_yet_valid"),
        ({"nbf": NOW + 61}, "not_yet_valid"),
        ({"iat": None}, "claims_malformed"),
        ({"iat": NOW - 90_000}, "expired"),
        ({"sub": None}, "claims_malformed"),
        ({"sub": ""}, "claims_malformed"),
        ({"sub": 7}, "claims_malformed"),
        ({"sub": "s" * 256}, "claims_malformed"),
    ],
)
def test_a_claim_that_does_not_hold_refuses_the_token(changed: dict[str, Any], reason: str) -> None:
    assert refused(signed(RSA, "RS256", claims(**changed))) == reason


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": [CLIENT]},
        {"aud": [CLIENT, "another"], "azp": CLIENT},
        {"exp": NOW - 59},
        {"iat": NOW + 59},
        {"nbf": NOW + 59},
    ],
)
def test_what_the_standard_and_the_leeway_allow_is_believed(changed: dict[str, Any]) -> None:
    assert verify(signed(RSA, "RS256", claims(**changed)), RSA)["sub"] == "subject"


@pytest.mark.parametrize(
    "raw", ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "e30.e30.e30", "bnVsbA.e30.e30"]
)
def test_junk_is_no_token(raw: str) -> None:
    assert refused(raw) in {"malformed", "algorithm_refused"}


def test_a_demand_that_is_not_understood_is_not_passed_over() -> None:
    head = forge.encoded(json.dumps({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}).encode())
    assert refused(f"{head}.e30.c2ln") == "malformed"


@pytest.mark.parametrize("content", [[], "text", 7, None, {}])
def test_claims_of_another_form_are_refused(content: Any) -> None:
    payload = content if content is not None else "null"
    assert refused(signed(RSA, "RS256", payload)) == "claims_malformed"


def test_without_a_key_id_a_single_fitting_key_is_used_and_of_several_none() -> None:
    raw = jws.serialize_compact({"alg": "RS256"}, json.dumps(claims()), RSA, algorithms=["RS256"])
    assert verify(raw, RSA, EC)["sub"] == "subject"
    other = RSAKey.generate_key(2048, {"kid": "other"}, private=True)
    assert refused(raw, RSA, other) == "key_unknown"


def test_keys_for_other_uses_are_passed_over() -> None:
    keys = [
        {**forge.public(RSA), "use": "enc"},
        {**forge.public(RSA), "alg": "RS512"},
        {**forge.public(RSA), "alg": "RSA-OAEP"},
        dict(OctKey.import_key(b"x" * 32, {"kid": "rsa"}).as_dict()),
    ]
    found = id_token.keys_of(json.dumps({"keys": keys}).encode())
    assert id_token.candidates(found, id_token.Header("RS256", "rsa")) == []


def test_a_published_private_key_is_not_trusted() -> None:
    private = dict(RSA.as_dict(private=True))
    said = id_token.header(signed(RSA, "RS256"))
    with pytest.raises(TokenError, match="key_refused"):
        id_token.verified(signed(RSA, "RS256"), private, said, EXPECTED)


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": 7}', b'{"keys": [7]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_set_of_keys_is_the_providers_fault(document: bytes) -> None:
    with pytest.raises(ProviderError, match="keys_unreadable"):
        id_token.keys_of(document)
