"""An unmodified Chalice app, really deployed, behind the emulated API Gateway."""

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import httpx
import pytest

from infra.emulator.cloud import EmulatedCloud

APP = """
import os, sys, time
from chalice import Chalice, Response
import chalicelib.words

app = Chalice(app_name="probe")
ANY = ["application/json", "text/plain"]

@app.route("/")
def index():
    return {"version": "VERSION", "pid": os.getpid()}

@app.route("/echo/{item}", methods=["GET", "POST"], content_types=ANY)
@app.route("/echo/{item}", methods=["PUT"], content_types=["application/octet-stream"])
def echo(item):
    event = app.current_request.to_original_event()
    context = event["requestContext"]
    return {"item": item, "query": event["multiValueQueryStringParameters"],
            "headers": event["multiValueHeaders"], "body": event["body"],
            "base64": event["isBase64Encoded"], "path": context["path"],
            "resource": event["resource"], "source": context["identity"]["sourceIp"],
            "request_id": context["requestId"], "stage": context["stage"]}

@app.route("/echo/literal")
def literal():
    return "literal"

@app.route("/reverse", methods=["POST"], content_types=["application/octet-stream"])
def reverse():
    return Response(app.current_request.raw_body[::-1],
                    headers={"Content-Type": "application/octet-stream",
                             "X-Many": ["a", "b"], "WWW-Authenticate": "Bearer"})

@app.route("/fail/{how}")
def fail(how):
    if how == "exit":
        os._exit(3)
    if how == "value":
        raise ValueError("no")
    if how == "huge":
        return "x" * (7 * 1024 * 1024)
    return Response("teapot", status_code=418, headers={"Retry-After": "7"})

@app.route("/sleep/{seconds}")
def sleep(seconds):
    time.sleep(float(seconds))
    return {"slept": seconds}

@app.route("/environment")
def environment():
    return {"environ": dict(os.environ), "path": sys.path, "modules": find(["boto3", "moto"])}

def find(names):
    import importlib.util
    return {name: importlib.util.find_spec(name) is not None for name in names}

@app.lambda_function()
def broken(event, context):
    if event.get("bytes"):
        return "x" * event["bytes"]
    raise RuntimeError("broken on purpose")
"""
CONFIG = {
    "version": "2.0",
    "app_name": "probe",
    "lambda_timeout": 3,
    "environment_variables": {"GREETING": "hello"},
    "stages": {"dev": {"api_gateway_stage": "dev"}},
}


class Project:
    """The probe app in a directory of its own."""

    def __init__(self, path: Path, cloud: EmulatedCloud) -> None:
        self.path = path
        self.cloud = cloud
        (path / ".chalice").mkdir(parents=True)
        (path / ".chalice" / "config.json").write_text(json.dumps(CONFIG))
        (path / "chalicelib").mkdir()
        (path / "chalicelib" / "__init__.py").touch()
        (path / "chalicelib" / "words.py").touch()
        (path / "requirements.txt").touch()

    def deploy(self, version: str) -> None:
        (self.path / "app.py").write_text(APP.replace("VERSION", version))
        environ = {**self.cloud.environ, "PATH": os.environ["PATH"], "HOME": str(self.path)}
        program = "import sys; from chalice.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", program, "deploy", "--stage", "dev"]
        result = subprocess.run(
            command, cwd=self.path, env=environ, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr

    def redeploy_stage(self) -> None:
        client = self.client("apigateway")
        client.create_deployment(restApiId=self.api_id, stageName="dev")

    @property
    def api_id(self) -> str:
        return str(self.client("apigateway").get_rest_apis()["items"][0]["id"])

    def client(self, service: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.cloud.endpoint_url,
            region_name="eu-central-1",
            aws_access_key_id="emulated",
            aws_secret_access_key="emulated",
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("gateway")
    with EmulatedCloud(root / "run", gateway_timeout=2.0) as cloud:
        project = Project(root / "app", cloud)
        project.deploy("one")
        yield project


@pytest.fixture
def api(project: Project) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=project.cloud.api_url("dev"), trust_env=False) as client:
        yield client


def test_the_deployed_app_answers_below_the_stage_prefix(
    api: httpx.Client, project: Project
) -> None:
    first = api.get("/")
    assert first.status_code == 200, first.text + project.cloud.functions["probe-dev"].logs
    assert first.json()["version"] == "one"
    assert api.get("/echo/a").json()["path"] == "/dev/echo/a"


def test_a_literal_segment_wins_over_a_parameter(api: httpx.Client) -> None:
    assert api.get("/echo/literal").text == "literal"


def test_path_parameters_query_and_headers_arrive_as_api_gateway_sends_them(
    api: httpx.Client,
) -> None:
    answer = api.get(
        "/echo/a%20b%2Fc?x=1&x=2&y=%C3%BC&z",
        headers=[("X-One", "1"), ("X-One", "2"), ("X-Forwarded-For", "6.6.6.6")],
    ).json()
    assert answer["item"] == "a b/c"
    assert answer["resource"] == "/echo/{item}"
    assert answer["query"] == {"x": ["1", "2"], "y": ["ü"], "z": [""]}
    assert answer["headers"]["X-One"] == ["1", "2"]
    assert answer["headers"]["X-Forwarded-For"] == ["6.6.6.6, 127.0.0.1"]
    assert answer["source"] == "127.0.0.1"
    assert "content-length" not in {name.lower() for name in answer["headers"]}


def test_an_absent_query_is_null(api: httpx.Client) -> None:
    assert api.get("/echo/a").json()["query"] is None


def test_text_goes_as_text_and_binary_as_base64(api: httpx.Client) -> None:
    text = api.post("/echo/a", content="grüße", headers={"Content-Type": "text/plain"}).json()
    assert (text["body"], text["base64"]) == ("grüße", False)
    raw = api.put(
        "/echo/a", content=b"\x00\xff", headers={"Content-Type": "application/octet-stream"}
    ).json()
    assert (base64.b64decode(raw["body"]), raw["base64"]) == (b"\x00\xff", True)


def test_binary_and_repeated_headers_come_back(api: httpx.Client) -> None:
    kind = "application/octet-stream"
    answer = api.post(
        "/reverse", content=bytes(range(256)), headers={"Content-Type": kind, "Accept": kind}
    )
    assert answer.content == bytes(reversed(range(256)))
    assert answer.headers.get_list("X-Many") == ["a", "b"]
    assert answer.headers["x-amzn-Remapped-WWW-Authenticate"] == "Bearer"


def test_the_apps_own_errors_pass_through(api: httpx.Client) -> None:
    answer = api.get("/fail/teapot")
    assert (answer.status_code, answer.headers["Retry-After"]) == (418, "7")
    assert api.get("/fail/value").status_code == 500


def test_the_gateway_gives_up_before_the_function(api: httpx.Client) -> None:
    answer = api.get("/sleep/2.5")
    assert (answer.status_code, answer.json()) == (504, {"message": "Endpoint request timed out"})
    assert api.get("/").status_code == 200


def test_too_large_bodies_and_answers(api: httpx.Client) -> None:
    kind = {"Content-Type": "text/plain"}
    assert (
        api.post("/echo/a", content=b"x" * (10 * 1024 * 1024 + 1), headers=kind).status_code == 413
    )
    assert api.post("/echo/a", content=b"x" * (7 * 1024 * 1024), headers=kind).status_code == 413
    assert api.get("/fail/huge").status_code == 502


def test_unknown_routes_methods_and_stages(api: httpx.Client, project: Project) -> None:
    for answer in (api.get("/nope"), api.delete("/echo/a")):
        assert (answer.status_code, answer.json()["message"]) == (
            403,
            "Missing Authentication Token",
        )
    assert httpx.get(project.cloud.api_url("prod") + "/", trust_env=False).status_code == 403
    path = f"/restapis/{project.api_id}/dev/_user_request_/echo/a"
    base = project.cloud.api_url("").rstrip("/")
    assert httpx.get(base + path, trust_env=False).json()["item"] == "a"


def test_gateway_responses_take_effect_with_the_next_deployment(
    api: httpx.Client, project: Project
) -> None:
    client = project.client("apigateway")
    template = '{"code":"$context.error.responseType","id":"$context.requestId",'
    template += '"detail":$context.error.messageString}'
    for kind, status in (("DEFAULT_4XX", None), ("DEFAULT_5XX", "503")):
        client.put_gateway_response(
            restApiId=project.api_id,
            responseType=kind,
            **({"statusCode": status} if status else {}),
            responseParameters={"gatewayresponse.header.Retry-After": "'5'"},
            responseTemplates={"application/json": template},
        )
    assert api.get("/nope").json() == {"message": "Missing Authentication Token"}
    project.redeploy_stage()
    answer = api.get("/nope")
    assert answer.status_code == 403
    assert answer.headers["Retry-After"] == "5"
    assert answer.json() == {
        "code": "MISSING_AUTHENTICATION_TOKEN",
        "id": answer.headers["x-amzn-RequestId"],
        "detail": "Missing Authentication Token",
    }
    assert api.get("/fail/exit").status_code == 503
    project.deploy("two")
    assert api.get("/nope").json() == {"message": "Missing Authentication Token"}


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x00\x01\x02\r\n\r\n", b"400"),
        (b"GET /dev/echo/%zz HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET /dev/echo/%ff HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /dev/ HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET /dev/ HTTP/1.1\r\nX: " + b"y" * 11_000 + b"\r\n\r\n", b"431"),
        (b"GET /dev/ HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", b"431"),
        (b"POST /dev/echo/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /dev/echo/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b"403"),
    ],
)
def test_garbage_is_answered(project: Project, raw: bytes, status: bytes) -> None:
    url = urlsplit(project.cloud.api_url("dev"))
    with socket.create_connection(("127.0.0.1", url.port or 0), timeout=10) as sock:
        sock.sendall(raw)
        assert sock.recv(4096).split(b" ")[1] == status
