"""The size of an item as DynamoDB counts it for write units."""

import base64
from typing import Any


def size_of(item: dict[str, dict[str, Any]]) -> int:
    """Names and values: UTF-8 bytes; numbers about one byte for two digits, and one more."""
    return sum(len(name.encode()) + _value(value) for name, value in item.items())


def _value(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return (len(content.lstrip("-")) + 1) // 2 + 2
    if kind == "B":
        return len(content if isinstance(content, bytes) else base64.b64decode(content))
    if kind == "SS":
        return sum(len(text.encode()) for text in content)
    return 1
