"""REST APIs as Chalice deploys them: Swagger 2.0 documents, frozen when a stage is deployed.

Moto keeps the API itself (id, tags, stages, gateway responses); it refuses Swagger 2.0 and never
invokes a function, so the routing and the stages' snapshots are kept here.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.apigateway.exceptions import BadRequestException
from moto.apigateway.models import APIGatewayBackend

from infra.emulator.gateway_responses import ConfiguredResponse
from infra.emulator.patches import MotoObject, Patches, require_parameters
from infra.emulator.routing import Routes, UnsupportedApiError

_EXTENSION = "x-amazon-apigateway-"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a stage serves: the API as it was when the stage was deployed."""

    api_id: str
    stage: str
    account: str
    routes: Routes
    binary_types: tuple[str, ...]
    responses: Mapping[str, ConfiguredResponse] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


class RestApis:
    """Documents by API, snapshots by API and stage."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[str, Any]] = {}
        self._stages: dict[tuple[str, str], Snapshot] = {}
        self._guard = threading.Lock()

    def stage(self, stage: str) -> Snapshot | None:
        """The API that was most recently deployed with that stage name."""
        with self._guard:
            for (_, name), snapshot in reversed(self._stages.items()):
                if name == stage:
                    return snapshot
        return None

    def stage_of(self, api_id: str, stage: str) -> Snapshot | None:
        """The stage of one API."""
        return self._stages.get((api_id, stage))

    def install(self, patches: Patches) -> None:
        """Take import, put, deployment and deletion over from moto."""
        require_parameters(APIGatewayBackend.import_rest_api, "api_doc", "fail_on_warnings")
        require_parameters(APIGatewayBackend.put_rest_api, "function_id", "api_doc", "mode")
        require_parameters(APIGatewayBackend.create_deployment, "function_id", "stage_variables")
        patches.wrap(APIGatewayBackend, "import_rest_api", self._import)
        patches.wrap(APIGatewayBackend, "put_rest_api", self._put)
        patches.wrap(APIGatewayBackend, "create_deployment", self._deploy)
        patches.wrap(APIGatewayBackend, "delete_rest_api", self._delete_api)
        patches.wrap(APIGatewayBackend, "delete_stage", self._delete_stage)

    def _import(self, original: MotoObject) -> MotoObject:
        def import_rest_api(
            backend: MotoObject, api_doc: dict[str, Any], fail_on_warnings: bool
        ) -> MotoObject:
            if api_doc.get("swagger") != "2.0":
                return original(backend, api_doc, fail_on_warnings)
            _check(api_doc)
            info = api_doc.get("info", {})
            api = backend.create_rest_api(
                name=info.get("title", ""), description=info.get("description", "")
            )
            self._store(api, api_doc)
            return api

        return import_rest_api

    def _put(self, original: MotoObject) -> MotoObject:
        def put_rest_api(
            backend: MotoObject,
            function_id: str,
            api_doc: dict[str, Any],
            fail_on_warnings: bool,
            mode: str = "merge",
        ) -> MotoObject:
            if api_doc.get("swagger") != "2.0":
                return original(backend, function_id, api_doc, fail_on_warnings, mode)
            if mode != "overwrite":
                raise BadRequestException("the emulator imports Swagger 2.0 in mode overwrite only")
            _check(api_doc)
            api = backend.get_rest_api(function_id)
            # An overwriting import takes the gateway responses with it, as on AWS.
            api.gateway_responses.clear()
            self._store(api, api_doc)
            return api

        return put_rest_api

    def _store(self, api: MotoObject, document: dict[str, Any]) -> None:
        self._documents[api.id] = document
        api.name = document.get("info", {}).get("title", api.name)
        api.binaryMediaTypes = list(document.get(_EXTENSION + "binary-media-types", []))
        if policy := document.get(_EXTENSION + "policy"):
            api.policy = json.dumps(policy)
        for kind, one in document.get(_EXTENSION + "gateway-responses", {}).items():
            status = one.get("statusCode")
            parameters = one.get("responseParameters", {})
            api.put_gateway_response(kind, status, parameters, one.get("responseTemplates", {}))

    def _deploy(self, original: MotoObject) -> MotoObject:
        def create_deployment(
            backend: MotoObject,
            function_id: str,
            name: str,
            description: str = "",
            stage_variables: MotoObject = None,
        ) -> MotoObject:
            document = self._documents.get(function_id)
            if document is None:
                return original(backend, function_id, name, description, stage_variables)
            api = backend.get_rest_api(function_id)
            deployment = api.create_deployment(name, description, stage_variables)
            if name:
                self._freeze(api, document, name, stage_variables or {})
            return deployment

        return create_deployment

    def _freeze(
        self, api: MotoObject, document: dict[str, Any], stage: str, variables: dict[str, str]
    ) -> None:
        responses = {kind: _configured(one) for kind, one in api.gateway_responses.items()}
        snapshot = Snapshot(
            api_id=api.id,
            stage=stage,
            account=api.account_id,
            routes=Routes(document),
            binary_types=tuple(api.binaryMediaTypes),
            responses=responses,
            variables=dict(variables),
        )
        with self._guard:
            # Removed first, so that the order of the dict is the order of deployment.
            self._stages.pop((api.id, stage), None)
            self._stages[api.id, stage] = snapshot

    def _delete_api(self, original: MotoObject) -> MotoObject:
        def delete_rest_api(backend: MotoObject, function_id: str) -> MotoObject:
            backend.get_rest_api(function_id)  # moto fails with a 500 on an unknown id
            result = original(backend, function_id)
            self._documents.pop(function_id, None)
            with self._guard:
                for key in [key for key in self._stages if key[0] == function_id]:
                    del self._stages[key]
            return result

        return delete_rest_api

    def _delete_stage(self, original: MotoObject) -> MotoObject:
        def delete_stage(backend: MotoObject, function_id: str, stage_name: str) -> None:
            original(backend, function_id, stage_name)
            with self._guard:
                self._stages.pop((function_id, stage_name), None)

        return delete_stage


def _check(document: dict[str, Any]) -> None:
    try:
        Routes(document)
    except UnsupportedApiError as error:
        raise BadRequestException(f"the emulator does not imitate this: {error}") from error


def _configured(response: MotoObject) -> ConfiguredResponse:
    status = response.status_code
    return ConfiguredResponse(
        status=int(status) if status else None,
        parameters=dict(response.response_parameters or {}),
        templates=dict(response.response_templates or {}),
    )
