import json
from pathlib import Path
from types import MappingProxyType

import pytest

from infra.errors import DeployError
from infra.project import environment, public_url, render_config, render_policy, stage_project
from infra.release_key import KEY_SHA256
from infra.target import Target

OUTPUTS = {
    "TablePrefix": "rollcall-prod-",
    "BucketName": "the-bucket",
    "BucketArn": "arn:aws:s3:::the-bucket",
    "EventBusName": "rollcall-prod",
    "DeadLetterQueueUrl": "https://sqs/queue",
    "SigningSecretArn": "arn:secret",
    "AuditRecordsStreamArn": "arn:audit/stream/1",
    "JobsStreamArn": "arn:jobs/stream/1",
    "SigningKeyArn": "arn:key",
    "EvidenceBucketName": "the-evidence",
    "EvidenceRetentionDays": "400",
    "ArtifactRetentionDays": "90",
    "PresenceBucketSeconds": "60",
}
ENVIRON = MappingProxyType(
    {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "junk", "AWS_SECRET_ACCESS_KEY": "junk"}
)


class KnownAccount(Target):
    @property
    def account(self) -> str:
        return "123456789012"

    @property
    def partition(self) -> str:
        return "aws"


def a_target(public_url: str | None = None) -> Target:
    return KnownAccount("prod", ENVIRON, public_url)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / ".chalice").mkdir(parents=True)
    (root / "chalicelib" / "__pycache__").mkdir(parents=True)
    (root / "app.py").write_text("app = 1\n")
    (root / "requirements.txt").write_text("boto3==1\n")
    (root / "chalicelib" / "__init__.py").write_text("")
    (root / "chalicelib" / "install").mkdir()
    (root / "chalicelib" / "install" / "install.sh").write_text("")
    (root / "chalicelib" / "__pycache__" / "x.pyc").write_text("")
    config = {
        "version": "2.0",
        "app_name": "rollcall",
        "autogen_policy": False,
        "lambda_functions": {"api_handler": {"iam_policy_file": "policy-api_handler.json"}},
        "stages": {"local": {"environment_variables": {"ROLLCALL_STAGE": "local"}}},
    }
    (root / ".chalice" / "config.json").write_text(json.dumps(config))
    (root / ".chalice" / "policy-api_handler.json").write_text('{"Resource": "${BucketArn}/*"}')
    return root


def test_the_environment_comes_from_the_outputs() -> None:
    assert environment(a_target(), OUTPUTS) == {
        "ROLLCALL_STAGE": "prod",
        "ROLLCALL_TABLE_PREFIX": "rollcall-prod-",
        "ROLLCALL_BUCKET": "the-bucket",
        "ROLLCALL_EVENT_BUS": "rollcall-prod",
        "ROLLCALL_DEAD_LETTER_QUEUE_URL": "https://sqs/queue",
        "ROLLCALL_SIGNING_SECRET_ARN": "arn:secret",
        "ROLLCALL_AUDIT_STREAM_ARN": "arn:audit/stream/1",
        "ROLLCALL_JOBS_STREAM_ARN": "arn:jobs/stream/1",
        "ROLLCALL_SIGNING_KEY_ARN": "arn:key",
        "ROLLCALL_EVIDENCE_BUCKET": "the-evidence",
        "ROLLCALL_EVIDENCE_RETENTION_DAYS": "400",
        "ROLLCALL_ARTIFACT_RETENTION_DAYS": "90",
        "ROLLCALL_PRESENCE_BUCKET_SECONDS": "60",
        "POWERTOOLS_SERVICE_NAME": "rollcall",
        "POWERTOOLS_METRICS_NAMESPACE": "Rollcall",
    }


def test_the_fingerprint_of_the_release_key_is_rendered_where_it_is_known() -> None:
    rendered = environment(a_target(), {**OUTPUTS, KEY_SHA256: "ab" * 32})
    assert rendered["ROLLCALL_RELEASE_KEY_SHA256"] == "ab" * 32
    # A stage of before is taken down, and bootstrapped, without.
    assert "ROLLCALL_RELEASE_KEY_SHA256" not in environment(a_target(), OUTPUTS)


def test_the_deployers_shell_has_no_say_in_the_environment() -> None:
    shell = {**ENVIRON, **dict.fromkeys(environment(a_target(), OUTPUTS), "of-the-shell")}
    target = KnownAccount("prod", shell)
    assert environment(target, OUTPUTS) == environment(a_target(), OUTPUTS)


def test_a_missing_output_is_named_before_anything_is_deployed() -> None:
    outputs = {key: value for key, value in OUTPUTS.items() if key != "SigningSecretArn"}
    with pytest.raises(DeployError, match="SigningSecretArn"):
        environment(a_target(), outputs)


def test_a_custom_domain_becomes_the_public_url() -> None:
    outputs = {**OUTPUTS, "ApiDomainName": "api.example.com"}
    assert environment(a_target(), outputs)["ROLLCALL_PUBLIC_URL"] == "https://api.example.com"


def test_a_given_public_url_wins_and_loses_its_slash() -> None:
    outputs = {**OUTPUTS, "ApiDomainName": "api.example.com"}
    assert public_url(a_target("http://127.0.0.1:1/prod/"), outputs) == "http://127.0.0.1:1/prod"


def test_the_configuration_holds_this_stage_only_and_keeps_the_rest() -> None:
    tracked = {"app_name": "rollcall", "autogen_policy": False, "stages": {"local": {}}}
    config = render_config(tracked, a_target(), OUTPUTS)
    assert config["autogen_policy"] is False
    assert list(config["stages"]) == ["prod"]
    assert config["stages"]["prod"]["api_gateway_stage"] == "prod"
    assert "minimum_compression_size" not in config
    assert tracked["stages"] == {"local": {}}


def test_a_policy_with_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(DeployError, match=r"api_handler.*Nowhere"):
        render_policy("api_handler", '{"Resource": "${Nowhere}"}', {})


def test_a_staged_project_is_complete_and_leaves_byte_code_behind(
    repository: Path, tmp_path: Path
) -> None:
    project = stage_project(a_target(), repository, tmp_path / "build", OUTPUTS)
    files = {str(p.relative_to(project.path)) for p in project.path.rglob("*") if p.is_file()}
    assert files == {
        "app.py",
        "requirements.txt",
        "chalicelib/__init__.py",
        "chalicelib/install/install.sh",
        ".chalice/config.json",
        ".chalice/policy-api_handler.json",
    }
    policy = json.loads((project.path / ".chalice" / "policy-api_handler.json").read_text())
    assert policy == {"Resource": "arn:aws:s3:::the-bucket/*"}
    assert project.functions == ("api_handler",)


def test_staging_again_drops_old_sources_and_keeps_state_and_packages(
    repository: Path, tmp_path: Path
) -> None:
    project = stage_project(a_target(), repository, tmp_path / "build", OUTPUTS)
    project.state_file.parent.mkdir()
    project.state_file.write_text("{}")
    package = project.path / ".chalice" / "deployments" / "x.zip"
    package.parent.mkdir()
    package.write_text("zip")
    (project.path / "chalicelib" / "gone.py").write_text("")
    again = stage_project(a_target(), repository, tmp_path / "build", OUTPUTS)
    assert again == project
    assert project.state_file.exists()
    assert package.exists()
    assert not (project.path / "chalicelib" / "gone.py").exists()


@pytest.mark.parametrize("name", ["app.py", "requirements.txt"])
def test_a_missing_source_is_an_error(repository: Path, tmp_path: Path, name: str) -> None:
    (repository / name).unlink()
    with pytest.raises(DeployError, match=name):
        stage_project(a_target(), repository, tmp_path / "build", OUTPUTS)


def test_the_tracked_configuration_is_never_written(repository: Path, tmp_path: Path) -> None:
    before = (repository / ".chalice" / "config.json").read_bytes()
    stage_project(a_target(), repository, tmp_path / "build", OUTPUTS)
    assert (repository / ".chalice" / "config.json").read_bytes() == before
