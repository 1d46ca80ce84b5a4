"""The buckets of one region."""

from troposphere import Tags, Template, s3

from templates import policies
from templates.lifetime import keep
from templates.links import Link
from templates.policies import Value

CODE_BUCKET_NAME = Link("Code", "CodeBucketName", "Bucket that Lambda loads this region's code from.")
# A rollback needs its code back: what was overwritten or deleted stays this long.
_KEEP_OLD_VERSIONS_DAYS = 90


def add_code_bucket(template: Template, name: Value, key_arn: Value, *, disposable: bool) -> s3.Bucket:
    bucket = s3.Bucket(
        "CodeBucket",
        BucketName=name,
        BucketEncryption=s3.BucketEncryption(
            ServerSideEncryptionConfiguration=[
                s3.ServerSideEncryptionRule(
                    BucketKeyEnabled=True,
                    ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(
                        SSEAlgorithm="aws:kms", KMSMasterKeyID=key_arn
                    ),
                )
            ]
        ),
        LifecycleConfiguration=s3.LifecycleConfiguration(
            Rules=[
                s3.LifecycleRule(
                    Id="old-versions",
                    Status="Enabled",
                    AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(DaysAfterInitiation=7),
                    NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(
                        NoncurrentDays=_KEEP_OLD_VERSIONS_DAYS
                    ),
                )
            ]
        ),
        OwnershipControls=s3.OwnershipControls(
            Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
        ),
        PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
            BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
        ),
        VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
        Tags=Tags(Name=name),
    )
    template.add_resource(keep(bucket, disposable=disposable))
    template.add_resource(
        s3.BucketPolicy(
            "CodeBucketPolicy",
            Bucket=bucket.ref(),
            PolicyDocument=policies.document(*policies.refuse_plain_http(bucket.ref())),
        )
    )
    return bucket
