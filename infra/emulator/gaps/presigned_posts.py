"""Presigned POST uploads: the policy is enforced, and the checksum is verified and kept.

Everything but the signature is checked; moto takes any.
"""

from xml.sax.saxutils import escape

from moto.s3.responses import S3Response

from infra.emulator.gaps.post_policy import PostPolicy, UploadRefusedError, check_sha256
from infra.emulator.patches import MotoObject, Patches, require_parameters

_CHECKSUM = "x-amz-checksum-sha256"


def close(patches: Patches) -> None:
    """Moto stores whatever is posted to a bucket."""
    require_parameters(S3Response._bucket_response_post, "request", "bucket_name")  # noqa: SLF001
    patches.wrap(S3Response, "_bucket_response_post", _post)


def _post(original: MotoObject) -> MotoObject:
    def bucket_response_post(self: MotoObject, request: MotoObject, bucket_name: str) -> MotoObject:
        form = {name.lower(): value for name, value in self.form_data.items()}
        if "key" not in form and "policy" not in form:
            return original(self, request, bucket_name)  # the bulk deletion
        try:
            checksum = _check(self, form, bucket_name)
        except UploadRefusedError as refused:
            return refused.status, {"Content-Type": "application/xml"}, _xml(refused, form)
        answer = original(self, request, bucket_name)
        if checksum is not None:
            key = self.backend.get_object(bucket_name, self.querystring["key"][0])
            key.checksum_algorithm = "SHA256"
            key.checksum_type = "FULL_OBJECT"
            key.checksum_value = checksum
        return answer

    return bucket_response_post


def _check(response: MotoObject, form: dict[str, str], bucket_name: str) -> str | None:
    if "key" not in form:
        raise UploadRefusedError(
            400, "InvalidArgument", "Bucket POST must contain a field named 'key'."
        )
    if "policy" not in form:
        raise UploadRefusedError(403, "AccessDenied", "Access Denied")
    body = response.body
    if isinstance(body, str):
        # A file part without a file name is a text field for the form parser.
        body = response.body = body.encode()
    if not response.normalized_request.files and "file" not in form:
        raise UploadRefusedError(
            400, "InvalidArgument", "POST requires exactly one file upload per request."
        )
    fields = {**form, "key": response.querystring["key"][0], "bucket": bucket_name}
    PostPolicy.parse(form["policy"]).check(fields, len(body))
    checksum = form.get(_CHECKSUM)
    if checksum is not None:
        check_sha256(body, checksum)
    return checksum


def _xml(refused: UploadRefusedError, form: dict[str, str]) -> str:
    details = "".join(
        f"<{name}>{escape(str(value))}</{name}>" for name, value in refused.details.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message>{details}"
        f"<Key>{escape(form.get('key', ''))}</Key><RequestId>EMULATED</RequestId></Error>"
    )
