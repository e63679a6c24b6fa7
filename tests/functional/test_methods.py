"""A path's other methods are refused with those that it has; HEAD is GET without its body."""

from collections.abc import Iterator

import pytest

from chalicelib.api.access import METHODS, allowed_methods
from tests.functional.database_requests import database_requests
from tests.functional.gateway import RawAnswer, Sent, problem, send
from tests.functional.routes import ROUTES
from tests.functional.world import World, new_world, running_api

PATHS = allowed_methods()
WITH_HEAD = tuple(route for route in ROUTES if route.access.head)


@pytest.fixture(scope="module")
def world(stack: dict[str, str]) -> Iterator[World]:
    assert stack
    with running_api() as api:
        yield new_world(api)


def asked(world: World, method: str, path: str) -> RawAnswer:
    """An answer for which nothing is read or written, with a good credential or without one."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = {name: world.parameters[name] for name in names}
    headers = {
        "authorization": f"Bearer {world.tenant.key}",
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
    }
    with database_requests() as seen:
        answer = send(Sent(method, path, parameters, headers=headers))
        bare = send(Sent(method, path, parameters))
    assert seen == []
    assert (bare.status, bare.headers) == (answer.status, answer.headers)
    return answer


@pytest.mark.parametrize("path", PATHS)
def test_another_method_is_refused_with_those_that_there_are(world: World, path: str) -> None:
    for method in set(METHODS) - set(PATHS[path]):
        answer = asked(world, method, path)
        assert answer.headers["allow"] == ", ".join(PATHS[path])
        if method == "HEAD":
            assert (answer.status, answer.text) == (405, "")
        else:
            problem(answer, 405, "method_not_allowed")


@pytest.mark.parametrize("path", PATHS)
def test_options_tells_the_methods_and_lets_no_other_site_in(world: World, path: str) -> None:
    answer = asked(world, "OPTIONS", path)
    assert (answer.status, answer.text) == (204, "")
    assert answer.headers["allow"] == ", ".join(PATHS[path])
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("route", WITH_HEAD, ids=str)
def test_head_is_answered_as_get_without_the_body(world: World, route: object) -> None:
    (wanted,) = (one for one in WITH_HEAD if one is route)
    get, head = send(wanted.request(world)), send(wanted.request(world, method="HEAD"))
    assert head.text == ""
    assert (head.status, head.headers) == (get.status, get.headers)


def test_health_and_installing_have_head_and_nothing_that_asks_who_calls(world: World) -> None:
    assert world
    assert {route.path for route in WITH_HEAD} == {
        "/healthz", "/readyz", "/install/install.sh", "/install/install.ps1", "/agent/manifest",
    }  # fmt: skip
    assert not any(route.families for route in WITH_HEAD)


def test_each_path_answers_every_method_that_the_gateway_knows(world: World) -> None:
    from app import app

    assert world
    served = {path: sorted(methods) for path, methods in app.routes.items()}
    assert served == {path: sorted(METHODS) for path in PATHS}
