"""The app, with what each call asked of DynamoDB and what that consumed beside its answer."""

from typing import Any

import app
from chalicelib.store.connection import connection

_seen: list[dict[str, Any]] = []


def _ask_in_full(params: dict[str, Any], model: Any, **_: Any) -> None:  # noqa: ANN401 - botocore's
    # As the product sends it, so that its floor sends the same.
    # repr: binary values have no JSON, and everything here is a literal.
    _seen.append({"operation": model.name, "parameters": repr(params), "consumed": []})
    if "ReturnConsumedCapacity" in model.input_shape.members:
        params["ReturnConsumedCapacity"] = "INDEXES"


def _note_capacity(parsed: dict[str, Any], **_: Any) -> None:  # noqa: ANN401 - botocore's
    consumed = parsed.get("ConsumedCapacity", [])
    _seen[-1]["consumed"] = consumed if isinstance(consumed, list) else [consumed]


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer as the app does, and say what it took."""
    events = connection().client.meta.events
    events.register("provide-client-params.dynamodb", _ask_in_full, unique_id="parameters")
    events.register("after-call.dynamodb", _note_capacity, unique_id="capacity")
    _seen.clear()
    answer: dict[str, Any] = dict(app.app(event, context))
    answer["requests"] = list(_seen)
    return answer
