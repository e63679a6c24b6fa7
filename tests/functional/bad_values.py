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
    "a..",
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
NO_ROLE = [*NO_TEXT, *LONG, "", "owner", "Viewer", "org_admin ", "viewer\n", "*"]
NO_NOTE = [*NO_TEXT, *LONG, *CONTROLS, "", "x" * 501]
NO_NONCE = [*NO_TEXT, None, *LONG, *CONTROLS, *PATHS, "", "x" * 15, "x" * 65, "é" * 20, "a b" * 8]
# May be left out, and null.
NO_INSTANCE = [value for value in NO_NONCE if value is not None]
NO_FLAG: list[Any] = [None, 0, 1, "true", "", [], {}]
NO_CIDR = ["", "x", "10.0.0.1/8", "10.0.0.0/33", "1.2.3", "10.0.0.0/8/8", "::/129", "0x7f.1",
           "10.0.0.0/-1", "\u0661.2.3.4", "1" * 60, *CONTROLS]  # fmt: skip
NO_CSR = [*NO_TEXT, *LONG, "", "\x00", "é", "-----BEGIN CERTIFICATE REQUEST-----", "../x",
          "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
          "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"]  # fmt: skip
NO_SHA256: list[Any] = [
    None, *NO_TEXT, *LONG, "", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n",
]  # fmt: skip
NO_FACTS: list[Any] = [
    None, *(bad for bad in NO_TEXT if not isinstance(bad, dict)), "x", [{}],
    {"a": 1.5}, {"a": -(2**64) - 1}, {"a": "x" * 1025}, {"a": ["\x00"]}, {"a": {"b\n": 1}},
    {"": 1}, {"k" * 129: 1}, {"a": [[[[[{"b": 1}]]]]]},
    {"a": {"a": {"a": {"a": {"a": {"a": {}}}}}}},
    {str(number): number for number in range(1_001)},
]  # fmt: skip
NO_TIME = [
    *NO_TEXT, *LONG, *CONTROLS, "", "now", "2026-05-28", "2026-05-28T20:26:40", "1780000000",
    "2026-13-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "\u0662026-05-28T20:26:40Z",
]  # fmt: skip
NO_ORGANIZATION = [bad for bad in NO_IDENTIFIER if bad != "org_" + "0" * 20]
NO_USERNAME = [*NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "n" * 129, "-a", ".a", "a b", "é", "a#b",
               "a:b", " a", "a ", "a\n", "\U0001f4a5"]  # fmt: skip
NO_PASSWORD = [*NO_TEXT, None, *LONG, "", "p" * 257]
BAD: dict[str, dict[str, list[Any]]] = {
    "CreateOrganizationRequest": {"name": [None, *NO_SHORT_TEXT]},
    "UpdateOrganizationRequest": {"name": [None, *NO_SHORT_TEXT]},
    "CreateProjectRequest": {"name": [None, *NO_SHORT_TEXT]},
    "UpdateProjectRequest": {"name": [None, *NO_SHORT_TEXT]},
    "CreateEnvironmentRequest": {
        "project": [None, *NO_IDENTIFIER],
        "name": [None, *NO_SHORT_TEXT],
        "heartbeat_interval_seconds": [*NO_NUMBER, 3601],
    },
    "UpdateEnvironmentRequest": {
        "name": NO_SHORT_TEXT,
        # None is as good as left out.
        "heartbeat_interval_seconds": [*(bad for bad in NO_NUMBER if bad is not None), 3601],
        # None ends these two.
        "slowdown_seconds": [*(bad for bad in NO_NUMBER if bad is not None), 3601],
        "agent_version": [*NO_TEXT, *LONG, *CONTROLS, "", "v 1", "1/2", "é", "1" * 65, "1\n",
                          "latest", "..", ".", "-x"],
        "agent_rollout_percent": [
            *(bad for bad in NO_NUMBER if bad is not None and (bad is True or bad != 0)), 101,
        ],
    },
    "ExportRequest": {
        "since": [None, *NO_TIME, "1969-12-31T23:59:59Z", "2026-01-01T00:00:00Z"],
        "until": [None, *NO_TIME],
        # Each goes with the other.
        "resource_type": [*NO_TEXT, *LONG, *CONTROLS, "", "é", "x" * 257],
        "resource_id": [*NO_TEXT, *LONG, *CONTROLS, "", "é", "x" * 257, "agt_1"],
    },
    "LoginRequest": {
        "username": [None, *NO_USERNAME],
        "password": NO_PASSWORD,
        "organization": NO_ORGANIZATION,
        "cookie": NO_FLAG,
    },
    "SwitchRequest": {"organization": [None, *NO_ORGANIZATION]},
    "RevokeSessionsRequest": {"keep_current": NO_FLAG},
    "UpdateMeRequest": {"display_name": NO_SHORT_TEXT},
    "ChangePasswordRequest": {
        "current_password": NO_PASSWORD,
        "new_password": [*NO_PASSWORD, "p" * 11, *(bad + "p" * 12 for bad in CONTROLS)],
    },
    "MintPersonalTokenRequest": {
        "name": [None, *NO_SHORT_TEXT],
        "scopes": [*NO_TEXT, None, ["x"], ["agents:read"] * 2, ["agents:read", "*"], [""],
                   ["agent:heartbeat"], [None], [["agents:read"]], ["agents:read "]],
        "ttl_seconds": [*NO_NUMBER, 59, 31_536_001],
    },
    "ChangeRoleRequest": {"role": NO_ROLE},
    "AccountRequest": {"note": NO_NOTE},
    "ProjectRoleRequest": {"role": [None, "org_admin", *NO_ROLE]},
    "InviteRequest": {
        "role": NO_ROLE,
        "projects": [None, 0, "x", True, [], {"": "viewer"}, {"prj_1": "viewer"},
                     *({"prj_" + "0" * 20: bad} for bad in (None, "org_admin", *NO_ROLE)),
                     {f"prj_{n:020}": "viewer" for n in range(21)}],
        "note": NO_NOTE,
        "ttl_seconds": [*NO_NUMBER, 299, 2_592_001],
    },
    "AcceptRequest": {
        "invitation": [None, *NO_TEXT, "", "x" * 257, *LONG],
        "username": [*NO_TEXT, *LONG, *CONTROLS, "", "-a", "a b", "é", "u" * 129],
        "password": [*NO_TEXT, *LONG, "", "p" * 11, "p" * 257,
                     *(bad + "p" * 12 for bad in CONTROLS)],
        "display_name": NO_SHORT_TEXT,
    },
    "CreateKeyRequest": {
        "name": [None, *NO_SHORT_TEXT],
        "scopes": [*NO_TEXT, None, ["x"], ["agents:read"] * 2, ["agents:read", "*"], [""],
                   ["agent:heartbeat"], [None], [["agents:read"]], ["agents:read "]],
        "ttl_seconds": [*(bad for bad in NO_NUMBER if bad is not None), 59, 34_560_001],
    },
    "RotateKeyRequest": {
        "overlap_seconds": [*(bad for bad in NO_NUMBER if type(bad) is not int or bad), 604_801],
    },
    "MintRequest": {
        "environment": [None, *NO_IDENTIFIER],
        "ttl_seconds": [*NO_NUMBER, 59, 2_592_001],
        "max_uses": [*NO_NUMBER, 10_001],
        "hostname": NO_HOSTNAME,
        "source_cidrs": [None, 0, "10.0.0.0/8", {}, [0], [None], [[]], ["10.0.0.0/8"] * 21,
                         *([bad] for bad in NO_CIDR)],
        "labels": [None, *NO_LABELS],
        "note": NO_NOTE,
        "replace_machine": NO_FLAG,
        "replace_offline_seconds": [*NO_NUMBER, 1_799, 2_592_001],
    },
    "FactsRequest": {"facts_sha256": NO_SHA256, "facts": NO_FACTS, "instance": NO_INSTANCE},
    "ReplaceAgentRequest": {"former": [None, *NO_IDENTIFIER], "note": NO_NOTE},
    "DecommissionRequest": {
        "note": NO_NOTE,
        "instance": NO_INSTANCE,
        "successor": [
            *NO_TEXT,
            "agt",
            {"agent_id": "agt_" + "0" * 20},
            *({"agent_id": bad, "runtime_key": "rca_x"} for bad in NO_IDENTIFIER),
            *(
                {"agent_id": "agt_" + "0" * 20, "runtime_key": bad}
                for bad in [None, *NO_TEXT, *LONG, *CONTROLS, "", "a b", "é"]
            ),
            {"agent_id": "agt_" + "0" * 20, "runtime_key": "rca_x", "more": 1},
            {"agent_id": "agt_" + "0" * 20, "runtime_key": "rca_x", "keeps_own_name": 1},
        ],
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
    "IdentityProviderRequest": {
        "issuer": [None, *NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "http://idp.example", "https://",
                   "https://user@idp.example", "https://idp.example?x", "https://idp.example#x",
                   "https://idp.example:25", "https://bücher.example", "https://a b.example"],
        "client_id": [None, *NO_TEXT, *LONG, *CONTROLS, "", "é", "c" * 257],
        # None takes it away.
        "client_secret": [*NO_TEXT, *LONG, *CONTROLS, "", "é", "s" * 1025],
        "scopes": [None, *NO_TEXT, ["profile"], ["openid", 7], ["openid", "a b"], ["openid", ""],
                   ["openid", "\n"], ["openid"] * 17],
        "groups_claim": [None, *NO_SHORT_TEXT],
        "group_roles": [None, 0, "x", True, [], [["ops", "viewer"]], {"ops": "root"}, {"ops": None},
                        {"ops": ["viewer"]}, {"": "viewer"}, {"a\x00": "viewer"},
                        {"a" * 129: "viewer"}, {f"g{n}": "viewer" for n in range(65)}],
        "status": [None, *NO_TEXT, "", "off", "ACTIVE"],
    },
    "UpdateAgentRequest": {"name": NO_NAME, "labels": NO_LABELS},
    "RevokeAgentRequest": {"note": NO_NOTE},
    "QuarantineRequest": {"note": NO_NOTE},
    "ReleaseRequest": {
        "decision": [*NO_TEXT, None, *LONG, *CONTROLS, "", "Keep", "both"],
        "instance": [*NO_TEXT, *LONG, *CONTROLS, "", "0" * 15, "0" * 17, "A" * 16, "0" * 16],
        "note": NO_NOTE,
    },
    "SplitRequest": {"instance": NO_NONCE},
    "RotateRequest": {"instance": NO_INSTANCE},
    "HeartbeatRequest": {
        "sequence": [*NO_NUMBER, 2**53 + 1],
        "nonce": NO_NONCE,
        "instance": NO_NONCE,
        "agent_version": NO_SHORT_TEXT,
        "unpersisted": NO_FLAG,
        "facts": [bad for bad in NO_SHA256 if bad is not None],
        "collector_id": NO_IDENTIFIER,
        "asset_id": NO_IDENTIFIER,
    },
    "ArtifactRequest": {
        "kind": [None, *NO_TEXT, "", "bundle", "../incident_bundle", *LONG],
        "filename": [None, *NO_TEXT, *LONG, *CONTROLS, *PATHS, "", "f" * 256],
        "size": [*NO_NUMBER, 2**53 + 1],
        "sha256": NO_SHA256,
        "content_type": [None, *NO_TEXT, "", "text", "text/", "/plain", "text/plain; x=y", "A/B",
                         "text/plain\r\nx: y", "a/" + "b" * 99, *LONG],
        "metadata": [None, *NO_LABELS, {f"k{n}": "v" for n in range(17)}],
    },
}  # fmt: skip
