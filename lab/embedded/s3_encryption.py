"""Objects under a KMS key are written and read only while the key is enabled, by whoever may use it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html: S3 asks for a data key when it
writes and decrypts it when it reads, on the caller's behalf; MiniStack keeps the key's name and asks nobody.
"""

from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, request_scope
from ministack.services import kms, s3

from lab.embedded import key_use
from lab.embedded.handlers import Response

KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


def install() -> None:
    s3._resolve_sse_write_headers = _with_usable_key(s3._resolve_sse_write_headers)
    s3._get_object = _with_readable_key(s3._get_object)


def _with_usable_key(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(headers: dict[str, str], bucket: str) -> Any:
        resolved, error = inherited(headers, bucket)
        if error is None and KEY_HEADER in (resolved or {}):
            error = refusal("kms:GenerateDataKey", resolved[KEY_HEADER], bucket)
        return resolved, error

    return resolve


def _with_readable_key(inherited: Callable[..., Any]) -> Callable[..., Any]:
    def get(bucket: str, key: str, *rest: Any, **more: Any) -> Any:
        stored = (s3._buckets.get(bucket) or {}).get("objects", {}).get(key) or {}
        reference = stored.get("preserved_headers", {}).get(KEY_HEADER)
        refused = refusal("kms:Decrypt", reference, bucket) if reference else None
        return refused or inherited(bucket, key, *rest, **more)

    return get


def refusal(action: str, reference: str, bucket: str) -> Response | None:
    """What S3 answers when KMS does not do `action` with the bucket's key for the caller."""
    if reference.endswith("alias/aws/s3"):
        return None  # AWS's own key is always there, for everybody in the account
    region = str(s3.bucket_region(bucket))
    with request_scope(get_account_id(), region):
        key = kms._resolve_key(reference)
        if key is None:
            return _error("KMS.NotFoundException", f"Key '{reference}' does not exist", 400)
        if key["KeyState"] != "Enabled":
            return _error("KMS.DisabledException", f"{key['Arn']} is disabled.", 400)
        context = {"aws:s3:arn": f"arn:aws:s3:::{bucket}"}
        found = key_use.obstacle(key_use.caller(), "s3", reference, [action], context)
    return None if found is None else _error("AccessDenied", found.message, 403)


def _error(code: str, message: str, status: int) -> Response:
    response: Response = s3._error(code, message, status)
    return response
