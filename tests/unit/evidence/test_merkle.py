"""The hash tree against RFC 6962's own definition and known roots."""

import hashlib

import pytest

from chalicelib.evidence import merkle

# The leaves and roots of the reference implementation of Certificate Transparency.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def by_the_book(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word: split at the largest power of two below the count."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = by_the_book(leaves[:split]), by_the_book(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("count", sorted(ROOTS))
def test_known_roots(count: int) -> None:
    hashed = [merkle.leaf_hash(leaf) for leaf in LEAVES[:count]]
    assert merkle.root(hashed).hex() == ROOTS[count]


@pytest.mark.parametrize("count", [*range(20), 100, 127, 128, 129])
def test_any_count_is_the_tree_of_the_rfc(count: int) -> None:
    leaves = [str(number).encode() for number in range(count)]
    assert merkle.root([merkle.leaf_hash(leaf) for leaf in leaves]) == by_the_book(leaves)


def test_a_node_is_no_leaf() -> None:
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.root([left, right]) != merkle.leaf_hash(left + right)
