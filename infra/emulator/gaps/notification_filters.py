"""Bucket notifications: filter rules are named Prefix and Suffix as well as prefix and suffix."""

import re

from moto.s3.responses import S3Response

from infra.emulator.patches import MotoObject, Patches

_NAME = re.compile(r"<Name>(prefix|suffix)</Name>", re.IGNORECASE)


def close(patches: Patches) -> None:
    """S3 takes either spelling and Chalice sends the capital one; moto fails on it."""
    patches.wrap(S3Response, "_notification_config_from_body", _parse)


def _parse(original: MotoObject) -> MotoObject:
    def notification_config_from_body(self: MotoObject) -> MotoObject:
        body = self.body.decode() if isinstance(self.body, bytes) else self.body
        self.body = _NAME.sub(lambda found: found[0].lower().replace("name", "Name"), body)
        return original(self)

    return notification_config_from_body
