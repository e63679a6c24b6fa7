"""What callers send by mistake or by intent: bodies, and values of every member."""

import json
from typing import Any

BROKEN = {
    "a space": " ",
    "a brace": "{",
    "a word": "hello",
    "single quotes": "{'note': 'x'}",
    "a trailing comma": '{"note": "x",}',
    "two documents": "{}{}",
    "a comment": '{} // "x"',
    "a NUL": "\x00",
    "a byte order mark": "\ufeff{}",
    "NaN": "NaN",
    "infinity": "-Infinity",
    "a raw lone surrogate": '{"\ud800": 1}',
    "an escaped lone surrogate": '{"note": "\\ud800"}',
    "a surrogate as a name": '{"\\udfff": 1}',
    "an unclosed string": '{"note": "',
    "a control character in a string": '{"note": "a\nb"}',
    "a form": "hostname=host-1&token=x",
    "XML": "<note/>",
}
NO_OBJECT = {
    "null": "null",
    "true": "true",
    "a number": "7",
    "a huge number": "9" * 5000,
    "an infinite number": "1e999999",
    "a string": '"note"',
    "a list": "[]",
    "a list of objects": "[{}]",
    "deep lists": "[" * 30_000 + "]" * 30_000,
    "deep lists left open": "[" * 60_000,
    "an unknown member": '{"unknown": 1}',
    "an unknown member with a long name": json.dumps({"u" * 60_000: 1}),
    "an unknown member with an emoji": '{"\U0001f4a5": 1}',
    "an unknown member with deep objects": '{"u":' * 9_000 + "1" + "}" * 9_000,
    "a prototype": '{"__proto__": {"scopes": ["*"]}}',
}
NO_TEXT: list[Any] = [0, 1.5, True, [], ["x"], {}, {"x": "y"}]
LONG = ["x" * 50_000, "\U0001f4a5" * 4_000]
CONTROLS = ["a\x00b", "a\nb", "\r\nSet-Cookie: x", "\x1b[31m", "a\x7f", "\t"]
PATHS = ["../../etc/passwd", "..%2f..%2fetc", "/", "a/b", "a\\b", "..\\..", ".", "..", "~/x"]
NO_IDENTIFIER = [
    *NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "*", "env_", "env_" + "0" * 19, "env_" + "0" * 21,
    "env_" + "0" * 20 + "\n", "ENV_" + "0" * 20, "org_" + "0" * 20, "env_" + "\u0660" * 20,
]  # fmt: skip
NO_NUMBER: list[Any] = [
    None, "1", "", [], {}, True, 1.5, -1, 0, 10**30, -(10**30), 2**63, 2**64, 1e308,
]  # fmt: skip
NO_HOSTNAME = [
    *NO_TEXT,
    *LONG,
    *CONTROLS,
    *PATHS,
    "",
    "h" * 254,
    "höst",
    "a b",
    "-a",
    "a.",
    "\u202e",
]
NO_LABELS: list[Any] = [
    0, "x", True, [], [["a", "b"]], {"": "x"}, {"A": "x"}, {"a b": "x"}, {"../x": "y"},
    {"a\x00": "x"}, {"é": "x"}, {"a" * 64: "x"}, {"a": None}, {"a": 1}, {"a": []}, {"a": {}},
    {"a": "x" * 129}, {"a": "\x00"}, {"a": "b\nc"}, {f"k{n}": "v" for n in range(33)},
]  # fmt: skip
NO_NAME = [*NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "n" * 64, "-a", ".hidden", "a b", "é", "a#b",
           "\U0001f4a5", "name\u200b"]  # fmt: skip
NO_SHORT_TEXT = [*NO_TEXT, *LONG, *CONTROLS, "", "x" * 129]
NO_NOTE = [*NO_TEXT, *LONG, *CONTROLS, "", "x" * 501]
NO_NONCE = [*NO_TEXT, None, *LONG, *CONTROLS, *PATHS, "", "x" * 15, "x" * 65, "é" * 20, "a b" * 8]
NO_FLAG: list[Any] = [None, 0, 1, "true", "", [], {}]
NO_CIDR = ["", "x", "10.0.0.1/8", "10.0.0.0/33", "1.2.3", "10.0.0.0/8/8", "::/129", "0x7f.1",
           "10.0.0.0/-1", "\u0661.2.3.4", "1" * 60, *CONTROLS]  # fmt: skip
NO_CSR = [*NO_TEXT, *LONG, "", "\x00", "é", "-----BEGIN CERTIFICATE REQUEST-----", "../x",
          "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
          "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"]  # fmt: skip
BAD: dict[str, dict[str, list[Any]]] = {
    "MintRequest": {
        "environment": [None, *NO_IDENTIFIER],
        "ttl_seconds": [*NO_NUMBER, 59, 2_592_001],
        "max_uses": [*NO_NUMBER, 10_001],
        "hostname": NO_HOSTNAME,
        "source_cidrs": [None, 0, "10.0.0.0/8", {}, [0], [None], [[]], ["10.0.0.0/8"] * 21,
                         *([bad] for bad in NO_CIDR)],
        "labels": [None, *NO_LABELS],
        "note": NO_NOTE,
    },
    "RevokeTokenRequest": {"cascade": NO_FLAG, "note": NO_NOTE},
    "ExchangeRequest": {
        "hostname": NO_HOSTNAME,
        "token": [*NO_TEXT, "x" * 513, *LONG],
        "name": NO_NAME,
        "machine_id": NO_SHORT_TEXT,
        "os": NO_SHORT_TEXT,
        "arch": NO_SHORT_TEXT,
        "agent_version": NO_SHORT_TEXT,
        "labels": [None, *NO_LABELS],
        "csr": NO_CSR,
    },
    "UpdateAgentRequest": {"name": NO_NAME, "labels": NO_LABELS},
    "RevokeAgentRequest": {"note": NO_NOTE},
    "HeartbeatRequest": {
        "sequence": [*NO_NUMBER, 2**53 + 1],
        "nonce": NO_NONCE,
        "instance": NO_NONCE,
        "agent_version": NO_SHORT_TEXT,
        "unpersisted": NO_FLAG,
        "collector_id": NO_IDENTIFIER,
        "asset_id": NO_IDENTIFIER,
    },
    "ArtifactRequest": {
        "kind": [None, *NO_TEXT, "", "bundle", "../incident_bundle", *LONG],
        "filename": [None, *NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "f" * 256],
        "size": [*NO_NUMBER, 2**53 + 1],
        "sha256": [None, *NO_TEXT, *LONG, "", "0" * 63, "0" * 65, "A" * 64, "g" * 64,
                   "0" * 64 + "\n"],
        "content_type": [None, *NO_TEXT, "", "text", "text/", "/plain", "text/plain; x=y", "A/B",
                         "text/plain\r\nx: y", "a/" + "b" * 99, *LONG],
        "metadata": [None, *NO_LABELS, {f"k{n}": "v" for n in range(17)}],
    },
}  # fmt: skip
