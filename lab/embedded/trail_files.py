"""The files a trail delivers: gzipped records, and signed digests of them that name the one before.

Digests come with every delivery here; on AWS once an hour.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html
"""

import base64
import gzip
import hashlib
import json
import secrets
import string
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from ministack.core.responses import request_scope
from ministack.services import s3

from lab.embedded import deliveries, service_roles
from lab.embedded.handlers import Properties

MayDeliver = Callable[[str, str, str], bool]
_LETTERS = string.ascii_letters + string.digits
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"


class Digests:
    """The key that signs, and the last digest of each trail and region, which the next one names."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._since = time.time()
        self.last: dict[tuple[str, str], Properties] = {}

    def sign(self, text: str) -> str:
        return self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()

    def public_key(self) -> Properties:
        value = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.PKCS1
        )
        return {
            "Value": base64.b64encode(value).decode(),
            "Fingerprint": hashlib.md5(value, usedforsecurity=False).hexdigest(),
            "ValidityStartTime": int(self._since),
            "ValidityEndTime": int(self._since) + 365 * 24 * 3600,
        }


def deliver(
    trail: Properties,
    account: str,
    home: str,
    events: dict[str, list[Properties]],
    digests: Digests,
    may_deliver: MayDeliver,
) -> str | None:
    """One log file for each region that has events, then its digest; None, or why nothing was delivered."""
    for region, records in events.items():
        body = gzip.compress(json.dumps({"Records": records}).encode())
        name = _name(trail, account, region)
        refused = _put(trail, home, account, name, body, {}, may_deliver)
        if refused:
            return refused
        trail["_LatestDeliveryTime"] = int(time.time())
        _log(trail, account, home, records)
        if trail["LogFileValidationEnabled"]:
            _digest(trail, account, home, region, (name, body, records), digests, may_deliver)
    return None


def _log(trail: Properties, account: str, home: str, records: list[Properties]) -> None:
    """Into the trail's log group, if it has one and its role may."""
    arn = str(trail.get("CloudWatchLogsLogGroupArn", "")).removesuffix(":*")
    role, stream = str(trail.get("CloudWatchLogsRoleArn", "")), f"{account}_CloudTrail_{home}"
    if not arn or not role:
        return
    where = f"{arn}:log-stream:{stream}"
    actions = [(action, where) for action in ("logs:CreateLogStream", "logs:PutLogEvents")]
    with request_scope(account, home):
        refused = service_roles.lacking(role, "cloudtrail.amazonaws.com", actions)
    trail["_log_refused"] = refused
    if refused is None:
        group = arn.partition(":log-group:")[2]
        deliveries.put_log_events(home, group, stream, [json.dumps(record) for record in records])
        trail["_LatestCloudWatchLogsDeliveryTime"] = int(time.time())


def _digest(
    trail: Properties,
    account: str,
    home: str,
    region: str,
    file: tuple[str, bytes, list[Properties]],
    digests: Digests,
    may_deliver: MayDeliver,
) -> None:
    name, body, records = file
    before = digests.last.get((trail["TrailARN"], region), {})
    now = time.time()
    times = sorted(record["eventTime"] for record in records)
    own = _digest_name(trail, account, home, region)
    document = {
        "awsAccountId": account,
        "digestStartTime": before.get("end", times[0]),
        "digestEndTime": time.strftime(_MOMENT, time.gmtime(now)),
        "digestS3Bucket": trail["S3BucketName"],
        "digestS3Object": own,
        "digestPublicKeyFingerprint": digests.public_key()["Fingerprint"],
        "digestSignatureAlgorithm": "SHA256withRSA",
        "newestEventTime": times[-1],
        "oldestEventTime": times[0],
        "previousDigestS3Bucket": trail["S3BucketName"] if before else None,
        "previousDigestS3Object": before.get("name"),
        "previousDigestHashValue": before.get("hash"),
        "previousDigestHashAlgorithm": "SHA-256" if before else None,
        "previousDigestSignature": before.get("signature"),
        "logFiles": [
            {
                "s3Bucket": trail["S3BucketName"],
                "s3Object": name,
                "hashValue": hashlib.sha256(gzip.decompress(body)).hexdigest(),
                "hashAlgorithm": "SHA-256",
                "newestEventTime": times[-1],
                "oldestEventTime": times[0],
            }
        ],
    }
    text = json.dumps(document)
    digest = hashlib.sha256(text.encode()).hexdigest()
    # What is signed: end, place, hash of the digest, signature of the one before.
    place = f"{trail['S3BucketName']}/{own}"
    signed = "\n".join((document["digestEndTime"], place, digest, before.get("signature") or "null"))
    signature = digests.sign(signed)
    headers = {"x-amz-meta-signature": signature, "x-amz-meta-signature-algorithm": "SHA256withRSA"}
    if _put(trail, home, account, own, gzip.compress(text.encode()), headers, may_deliver) is None:
        digests.last[trail["TrailARN"], region] = {
            "name": own,
            "hash": digest,
            "signature": signature,
            "end": document["digestEndTime"],
        }
        trail["_LatestDigestDeliveryTime"] = int(now)


def _put(
    trail: Properties,
    home: str,
    account: str,
    name: str,
    body: bytes,
    headers: dict[str, str],
    may_deliver: MayDeliver,
) -> str | None:
    bucket = trail["S3BucketName"]
    with request_scope(account, s3.bucket_region(bucket) or home):
        if s3._bucket_owner_account(bucket) is None:
            return "NoSuchBucket"
        if not may_deliver(bucket, name, trail["TrailARN"]):
            return "AccessDenied"
        encrypted = {**headers, "content-type": "application/json", "content-encoding": "gzip"}
        if "KmsKeyId" in trail:
            encrypted["x-amz-server-side-encryption"] = "aws:kms"
            encrypted["x-amz-server-side-encryption-aws-kms-key-id"] = trail["KmsKeyId"]
        status: Any = s3._put_object(bucket, name, body, encrypted)[0]
    return None if status < 400 else f"status {status}"


def _name(trail: Properties, account: str, region: str) -> str:
    now = time.gmtime()
    unique = "".join(secrets.choice(_LETTERS) for _ in range(16))
    file = f"{account}_CloudTrail_{region}_{time.strftime('%Y%m%dT%H%MZ', now)}_{unique}.json.gz"
    return f"{_prefix(trail, account)}/CloudTrail/{region}/{time.strftime('%Y/%m/%d', now)}/{file}"


def _digest_name(trail: Properties, account: str, home: str, region: str) -> str:
    now = time.gmtime()
    file = (
        f"{account}_CloudTrail-Digest_{region}_{trail['Name']}_{home}_"
        f"{time.strftime('%Y%m%dT%H%M%SZ', now)}.json.gz"
    )
    return f"{_prefix(trail, account)}/CloudTrail-Digest/{region}/{time.strftime('%Y/%m/%d', now)}/{file}"


def _prefix(trail: Properties, account: str) -> str:
    return f"{trail['S3KeyPrefix']}/AWSLogs/{account}" if trail.get("S3KeyPrefix") else f"AWSLogs/{account}"
