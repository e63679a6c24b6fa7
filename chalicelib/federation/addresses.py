"""Which addresses a request to somebody else's server may go to.

An administrator names the provider, so the address is untrusted input: it must not lead to the
function's own network, its metadata or another service of the account.
"""

import ipaddress

from chalicelib.federation.failures import ProviderError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Said to be global by the registry or by Python, and still nobody's web server.
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; where some clouds keep services of their own
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # IETF's assignments, Teredo among them
        "2001:db8::/32",
        "3fff::/20",
    )
)


def is_public(address: Address) -> bool:
    """Whether an address, or the IPv4 address that an IPv6 one stands for, is a public one."""
    inner = _inner(address)
    if inner is not None:
        return is_public(inner)
    if address.version == 6 and address not in _GLOBAL_UNICAST:  # noqa: PLR2004
        return False
    if any(address.version == net.version and address in net for net in _REFUSED):
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a gateway on the way would turn an IPv6 address into."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def admit(found: list[str], *, loopback: bool) -> list[str]:
    """All addresses of a name, if every one of them may be connected to.

    One bad address spoils the name: which one is used is not left to the order of an answer.

    Args:
        found: what the name resolved to.
        loopback: the loopback is admitted, and then nothing else is.

    Raises:
        ProviderError: there is none, or one that is refused.
    """
    addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    for address in addresses:
        if not (address.is_loopback if loopback else is_public(address)):
            raise ProviderError("address_refused", f"{address} is not a public address")
    if not addresses:
        raise ProviderError("name_not_found", "the name has no address")
    return found
