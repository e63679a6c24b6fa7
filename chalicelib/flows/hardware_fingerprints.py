"""Hardware fingerprints in what a host says: which members are one, and how texts are masked.

The agent leaves them out. But a holder of its key may send anything, and none of it may come into
evidence. A member is known by the last word of its name, an address in a text by its form:

- six or more pairs of hex digits between colons or hyphens, in any mixture;
- six or more such pairs between dots, spaces or underscores, if one digit is a letter: six numbers
  in a row are no address;
- three or more groups of four between dots; between colons or hyphens if one digit is a letter;
- six groups of one or two between colons (`0:c:29:ab:d:e`), if one digit is a letter;
- 12 or 16 digits in a row that stand alone, if one is a letter; after a word such as `mac` or
  `wwn` also without one;
- names that are made of one: `enx…`, `wwn-0x…`, `naa.…`, `eui.…`, `iqn.…`, `nqn.…`.

An IPv6 address, a part of a UUID, a longer row of digits (a SHA), and digits that are joined to
something else (`6.1.0-g1a2b3c4d5e6f`, `br-1a2b3c4d5e6f`) have other forms. Twelve hex digits may
also be a short commit or container id: they are left alone in a member or after a word that says
so, such as `commit` or `hostname`.
"""

import ipaddress
import re

_MACHINE_IDS = ("machineid", "machineidsha256")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LAST_WORDS = frozenset(
    {
        "mac", "macs", "hwaddr", "hwaddress", "lladdr", "permaddr", "macaddr", "bssid", "bssids",
        "ether", "eui", "guid", "guids", "uuid", "uuids", "wwn", "wwns", "wwid", "wwnn", "wwpn",
        "naa", "nguid", "iqn", "nqn", "duid", "udid", "imei", "imsi", "iccid", "meid", "serial",
        "serials", "serialno", "serialnr", "serialnum", "serialnumber", "sn",
    }
)  # fmt: skip
# Also where words are joined without a mark between them: `permmacaddress`, `diskserialnumber`.
_JOINED = re.compile(
    r".*(?:mac|hw|ll|hardware|physical|phys|perm|permanent|linklayer|link|ether|ethernet|station)"
    r"addr(?:ess)?(?:es)?"
    r"|.*serial(?:no|nr|num|number|numbers|id)?"
    r"|.*(?:uuid|bssid|wwn|wwpn|wwnn|wwid)"
    r"|.*(?:servicetag|assettag|initiatorname)"
)
_HEX = "[0-9a-f]"
_MASKED_ADDRESS = "**:**:**:**:**:**"
_START, _END = r"(?<![0-9a-z])", r"(?![0-9a-z])"


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(_START + pattern + _END, re.IGNORECASE)


_PAIRS = _form(rf"{_HEX}{{2}}(?:[:-]{_HEX}{{2}}){{5,}}")
_LOOSE_PAIRS = _form(rf"{_HEX}{{2}}(?:[:._ -]{_HEX}{{2}}){{5,}}")
_DOTTED = _form(rf"{_HEX}{{4}}(?:\.{_HEX}{{4}}){{2,}}")
_GROUPS = _form(rf"(?<!-){_HEX}{{4}}(?:[:-]{_HEX}{{4}}){{2,}}(?!-)")
_HALVES = _form(rf"(?<!-){_HEX}{{6}}[:-]{_HEX}{{6}}(?!-)")
_SHORT_PAIRS = _form(rf"{_HEX}{{1,2}}(?::{_HEX}{{1,2}}){{5}}")
_ROW = re.compile(
    rf"(?<![0-9a-z_.+@/:=-])(?:0x)?{_HEX}{{12}}(?:{_HEX}{{4}})?(?![0-9a-z_+@/:=-])", re.IGNORECASE
)
_LABELLED = re.compile(
    r"\b((?:perm[_-]?)?mac|(?:mac|hw|ll|perm)[_-]?addr(?:ess)?|hwaddress|ether|bssid|wwnn?|wwpn|"
    rf"wwid|eui|guid|serial|station)([\s:=/'\"-]+)(?:0x)?{_HEX}{{12}}(?:{_HEX}{{4}})?{_END}",
    re.IGNORECASE,
)
# Linux names an interface by its address where it knows nothing better: Ethernet, wireless, mobile.
_INTERFACE = re.compile(rf"((?:en|wl|ww|sl|ib)x){_HEX}{{12}}", re.IGNORECASE)
_MASKED_INTERFACE = r"\1************"
_DEVICE = re.compile(
    rf"\b(wwn-0x|naa\.|eui\.|wwn-|0x5(?={_HEX}{{15}}\b)){_HEX}{{12,32}}\b", re.IGNORECASE
)
_MASKED_ROW = "************"
_NAME_OF_INITIATOR = re.compile(r"\b((?:iqn|nqn)\.\d{4}-\d{2}\.)[^\s,;'\"]+", re.IGNORECASE)

_LETTER = re.compile("[a-f]", re.IGNORECASE)
_IPV6_LEFT, _IPV6_RIGHT = (
    re.compile("[0-9a-f:]*$", re.IGNORECASE),
    re.compile("^[0-9a-f:]*", re.IGNORECASE),
)
# What else may be twelve hex digits.
_OTHER_IDS = frozenset(
    {
        "commit", "sha", "rev", "revision", "git", "build", "version", "kernel", "digest", "hash",
        "checksum", "container", "image", "release", "hostname", "host", "pod", "layer", "tag",
        "ref", "id",
    }
)  # fmt: skip
_BEFORE = re.compile(r"([a-z]+)[0-9]*[\s#(\[\"'-]*$", re.IGNORECASE)


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_machine_id(name: str) -> bool:
    """Whether a member of this name is a machine id, or its hash, however that is written."""
    return _plain(name) in _MACHINE_IDS


def is_fingerprint(name: str) -> bool:
    """Whether a member of this name tells a piece of hardware from all others."""
    words = _words(name)
    while words and words[-1].isdigit():
        words.pop()
    if not words:
        return False
    return words[-1] in _LAST_WORDS or _JOINED.fullmatch("".join(words)) is not None


def machine_ids_first(names: list[str]) -> list[str]:
    """Those of the names that are machine ids, an id before a hash of it."""
    return sorted(filter(is_machine_id, names), key=lambda name: _MACHINE_IDS.index(_plain(name)))


def masked(text: str, member: str = "") -> str:
    """A text without addresses of hardware.

    Args:
        text: a value, or the name of a member.
        member: the name of the member that has the value; it may say that the value is another
            identifier.
    """
    text = _NAME_OF_INITIATOR.sub(rf"\1{_MASKED_ROW}", text)
    text = _INTERFACE.sub(_MASKED_INTERFACE, text)
    text = _DEVICE.sub(rf"\1{_MASKED_ROW}", text)
    text = _LABELLED.sub(rf"\1\2{_MASKED_ROW}", text)
    text = _PAIRS.sub(_unless_ipv6, text)
    text = _DOTTED.sub(_MASKED_ADDRESS, text)
    for form in (_LOOSE_PAIRS, _GROUPS, _HALVES, _SHORT_PAIRS):
        text = form.sub(_with_a_letter, text)
    if _OTHER_IDS.isdisjoint(_words(member)):
        text = _ROW.sub(_standing_alone, text)
    return text


def _unless_ipv6(found: re.Match[str]) -> str:
    around = (
        _IPV6_LEFT.search(found.string[: found.start()]),
        _IPV6_RIGHT.search(found.string[found.end() :]),
    )
    left, right = (one.group() if one is not None else "" for one in around)
    whole = left + found.group() + right
    try:
        ipaddress.IPv6Address(whole)
    except ValueError:
        return _MASKED_ADDRESS
    # Eight pairs are an IPv6 address by form alone; none of these is in use.
    is_in_pairs = all(len(group) == len("ff") for group in whole.split(":"))
    return _MASKED_ADDRESS if is_in_pairs else found.group()


def _with_a_letter(found: re.Match[str]) -> str:
    return _unless_ipv6(found) if _LETTER.search(found.group()) else found.group()


def _standing_alone(found: re.Match[str]) -> str:
    before = _BEFORE.search(found.string[: found.start()])
    is_other = before is not None and before.group(1).lower() in _OTHER_IDS
    has_letter = _LETTER.search(found.group().removeprefix("0x")) is not None
    return found.group() if is_other or not has_letter else _MASKED_ROW
