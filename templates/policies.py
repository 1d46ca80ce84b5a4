"""Statements of policies as pure functions; every wildcard has a Sid and a reason."""

from collections.abc import Sequence
from string import Template as StringTemplate

from awacs import dynamodb, ec2, kms, logs, rds, s3, secretsmanager, sts, xray
from awacs.aws import (
    Action,
    Allow,
    ArnEquals,
    ArnLike,
    Bool,
    Condition,
    Deny,
    ForAnyValueStringEquals,
    NumericLessThan,
    PolicyDocument,
    Principal,
    Statement,
    StringEquals,
)
from troposphere import AWSHelperFn, Ref, Sub

from templates.names import Names

ACCOUNT = Ref("AWS::AccountId")
Value = str | AWSHelperFn
BOUNDARY = "boundary"
DRILL_BOUNDARY = "drill-boundary"


def named(pattern: str, **values: Value) -> Value:
    """A name made of another: text where it can be, else left to CloudFormation."""
    if all(isinstance(value, str) for value in values.values()):
        return StringTemplate(pattern).substitute(values)
    return Sub(pattern, dict(values))


def arn(service: str, resource: str, *, region: Value = "${AWS::Region}", **values: Value) -> Sub:
    """An ARN in this account; `resource` may hold ``${Name}`` for each of `values`."""
    if not isinstance(region, str):
        values["Region"], region = region, "${Region}"
    return Sub(f"arn:${{AWS::Partition}}:{service}:{region}:${{AWS::AccountId}}:{resource}", dict(values))


def bucket_arn(name: Value, suffix: str = "") -> Sub:
    return Sub(f"arn:${{AWS::Partition}}:s3:::${{Bucket}}{suffix}", Bucket=name)


def endpoint(service: str, region: Value) -> Sub:
    """How KMS names the service that asks on a caller's behalf (``kms:ViaService``)."""
    if not isinstance(region, str):
        return Sub(f"{service}.${{Region}}.${{AWS::URLSuffix}}", Region=region)
    return Sub(f"{service}.{region}.${{AWS::URLSuffix}}")


def boundary_arn(names: Names, boundary: str = BOUNDARY) -> Sub:
    """The most that a role of a regional stack may do. `root` makes it before any of them, and no role can be
    made there without it (see templates/boundary.py).
    """
    return arn("iam", f"policy/{names.shared(boundary)}", region="")


def document(*statements: Statement) -> PolicyDocument:
    return PolicyDocument(Version="2012-10-17", Statement=list(statements))


def account() -> Principal:
    """The account itself: whoever IAM lets, which is what a key policy delegates to."""
    return Principal("AWS", Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root"))


def assumed_by_service(service: str, *conditions: StringEquals | ArnLike) -> Statement:
    statement = Statement(Effect=Allow, Principal=Principal("Service", service), Action=[sts.AssumeRole])
    if conditions:
        statement.Condition = Condition(list(conditions))
    return statement


def assumed_by_role(role_arn: AWSHelperFn, condition: Condition | None = None) -> Statement:
    statement = Statement(Effect=Allow, Principal=Principal("AWS", role_arn), Action=[sts.AssumeRole])
    if condition is not None:
        statement.Condition = condition
    return statement


def allow(
    sid: str, actions: Sequence[Action], *resources: Value, condition: Condition | None = None
) -> Statement:
    statement = Statement(Sid=sid, Effect=Allow, Action=list(actions), Resource=list(resources))
    if condition is not None:
        statement.Condition = condition
    return statement


def write_logs(log_group_arn: AWSHelperFn) -> Statement:
    """The ARN that a log group answers with ends in ``:*``: its streams, which Lambda names."""
    return allow("WriteLogs", [logs.CreateLogStream, logs.PutLogEvents], log_group_arn)


def send_traces() -> Statement:
    """X-Ray knows no resources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html"""
    return allow("SendTraces", [xray.PutTelemetryRecords, xray.PutTraceSegments], "*")


def attach_to_network() -> Statement:
    """What Lambda needs to put a function into a VPC. The Describe calls know no resources, and an interface
    has no name before it exists: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
    """
    return allow("AttachToNetwork", _NETWORK_INTERFACE_ACTIONS, "*")


def refuse_network_to_code(function_arn: Value) -> Statement:
    """The permissions above are for the Lambda service: the function's own code never gets to use them."""
    return Statement(
        Sid="RefuseNetworkToCode",
        Effect=Deny,
        Action=_NETWORK_INTERFACE_ACTIONS,
        Resource=["*"],
        Condition=Condition(ArnEquals({"lambda:SourceFunctionArn": [function_arn]})),
    )


_NETWORK_INTERFACE_ACTIONS = [
    ec2.AssignPrivateIpAddresses,
    ec2.CreateNetworkInterface,
    ec2.DeleteNetworkInterface,
    ec2.DescribeNetworkInterfaces,
    ec2.DescribeSubnets,
    ec2.UnassignPrivateIpAddresses,
]


def use_table(sid: str, table: str, *actions: Action) -> Statement:
    """On the replica of this region only."""
    return allow(sid, actions, arn("dynamodb", f"table/{table}"))


def read_secrets(*secrets: str, region: str = "${AWS::Region}") -> Statement:
    arns = (secret_arn(secret, region) for secret in secrets)
    return allow("ReadSecrets", [secretsmanager.GetSecretValue], *arns)


def secret_arn(secret: str, region: str = "${AWS::Region}") -> Sub:
    """Secrets Manager adds six random characters to a name, and they differ after a secret was made again."""
    return arn("secretsmanager", f"secret:{secret}-??????", region=region)


def describe_global_cluster(global_cluster: str) -> Statement:
    """Its ARN names no region: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html"""
    resource = arn("rds", f"global-cluster:{global_cluster}", region="")
    return allow("DescribeGlobalCluster", [rds.DescribeGlobalClusters], resource)


def use_key_through(sid: str, key_arn: Value, service: str, *actions: Action) -> Statement:
    """Only for what the caller does with `service` in this region, never with the key itself."""
    through = StringEquals({"kms:ViaService": endpoint(service, "${AWS::Region}")})
    return allow(sid, actions, key_arn, condition=Condition(through))


def decrypt_environment(key_arn: Value, function_arn: Value) -> Statement:
    own = StringEquals({"kms:EncryptionContext:aws:lambda:FunctionArn": function_arn})
    return allow("DecryptOwnEnvironment", [kms.Decrypt], key_arn, condition=Condition(own))


def use_aliased_key(sid: str, region: Value, alias: Value, service: str, *actions: Action) -> Statement:
    """A key in another region, by its alias: IAM ignores alias ARNs, so any key *that has this alias*.

    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
    """
    return allow(
        sid,
        actions,
        arn("kms", "key/*", region=region),
        condition=Condition(
            [
                StringEquals({"kms:ViaService": endpoint(service, region)}),
                ForAnyValueStringEquals({"kms:ResourceAliases": alias}),
            ]
        ),
    )


def administer_key() -> Statement:
    """A key nobody can administer is lost for ever. None of these actions encrypts or decrypts anything; in a
    key policy ``*`` is the key it belongs to.
    """
    verbs = ["Delete*", "Describe*", "Disable*", "Enable*", "Get*", "List*", "Put*", "Revoke*", "Update*"]
    actions = [Action("kms", verb) for verb in verbs]
    actions += [kms.CancelKeyDeletion, kms.CreateAlias, kms.RotateKeyOnDemand, kms.ScheduleKeyDeletion]
    return _for_account("AdministerKey", [*actions, kms.TagResource, kms.UntagResource])


def use_key_through_services(endpoints: Sequence[Sub]) -> Statement:
    """Whoever IAM lets use the key may do so by way of these services, and in no other way."""
    actions = [kms.Decrypt, kms.Encrypt, Action("kms", "GenerateDataKey*"), Action("kms", "ReEncrypt*")]
    return _for_account("UseThroughServices", actions, StringEquals({"kms:ViaService": list(endpoints)}))


def let_services_keep_key(endpoints: Sequence[Sub]) -> Statement:
    """Databases, tables and functions go on using the key after the call that made them: by a grant."""
    return _for_account(
        "GrantToServices",
        [kms.CreateGrant],
        Bool({"kms:GrantIsForAWSResource": "true"}),
        StringEquals({"kms:ViaService": list(endpoints)}),
    )


def encrypt_schedules(schedules: str) -> Statement:
    """Whoever IAM lets make a schedule or have it run; the encryption context says which (a pattern).

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/encryption-rest.html
    """
    context = "kms:EncryptionContext:aws:scheduler:schedule:arn"
    own = ArnLike({context: arn("scheduler", f"schedule/{schedules}")})
    return _for_account("EncryptSchedules", [kms.Decrypt, kms.GenerateDataKey], own)


def encrypt_logs(*log_groups: str) -> Statement:
    """CloudWatch Logs asks as itself; the encryption context says for which log group (patterns)."""
    return Statement(
        Sid="EncryptLogs",
        Effect=Allow,
        Principal=Principal("Service", Sub("logs.${AWS::Region}.${AWS::URLSuffix}")),
        Action=[
            kms.Decrypt,
            kms.DescribeKey,
            kms.Encrypt,
            Action("kms", "GenerateDataKey*"),
            Action("kms", "ReEncrypt*"),
        ],
        Resource=["*"],
        Condition=Condition(
            ArnLike(
                {
                    "kms:EncryptionContext:aws:logs:arn": [
                        arn("logs", f"log-group:{group}") for group in log_groups
                    ]
                }
            )
        ),
    )


def refuse_plain_http(bucket: AWSHelperFn) -> list[Statement]:
    """Everybody, ourselves included, comes over TLS 1.2 or better, to the bucket and to everything in it."""
    return [
        _refuse(bucket, "RefusePlainHttp", Bool({"aws:SecureTransport": "false"})),
        _refuse(bucket, "RefuseOldTls", NumericLessThan({"s3:TlsVersion": "1.2"})),
    ]


def reach_own_buckets() -> Statement:
    """For a gateway endpoint: what IAM allows, as long as caller and bucket are of this account, so that
    no code inside the network can carry data into somebody else's bucket.
    """
    own = StringEquals({"aws:PrincipalAccount": ACCOUNT, "aws:ResourceAccount": ACCOUNT})
    return Statement(
        Sid="ReachOwnBuckets",
        Effect=Allow,
        Principal=Principal("*"),
        Action=[s3.GetObject, s3.ListBucket, s3.PutObject],
        Resource=["*"],
        Condition=Condition(own),
    )


def answer_cloudformation(region_name: Value) -> Statement:
    """A custom resource answers at an address CloudFormation signed, in a bucket of CloudFormation's own.

    `region_name` is without hyphens, as that bucket's name has it:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-vpce-bucketnames.html
    """
    bucket = "arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-${Region}/*"
    return Statement(
        Sid="AnswerCloudFormation",
        Effect=Allow,
        Principal=Principal("*"),
        Action=[s3.PutObject],
        Resource=[Sub(bucket, Region=region_name)],
        Condition=Condition(StringEquals({"s3:authType": "REST-QUERY-STRING"})),
    )


def reach_own_tables(tables: str) -> Statement:
    """The same for tables; `tables` is the pattern all of ours follow."""
    return Statement(
        Sid="ReachOwnTables",
        Effect=Allow,
        Principal=Principal("*"),
        Action=[dynamodb.Action("*")],
        Resource=[arn("dynamodb", f"table/{tables}"), arn("dynamodb", f"table/{tables}/index/*")],
        Condition=Condition(StringEquals({"aws:PrincipalAccount": ACCOUNT})),
    )


def _for_account(sid: str, actions: list[Action], *conditions: ArnLike | Bool | StringEquals) -> Statement:
    statement = Statement(Sid=sid, Effect=Allow, Principal=account(), Action=actions, Resource=["*"])
    if conditions:
        statement.Condition = Condition(list(conditions))
    return statement


def _refuse(bucket: AWSHelperFn, sid: str, condition: Bool | NumericLessThan) -> Statement:
    return Statement(
        Sid=sid,
        Effect=Deny,
        Principal=Principal("*"),
        Action=[Action("s3", "*")],
        Resource=[bucket_arn(bucket), bucket_arn(bucket, "/*")],
        Condition=Condition(condition),
    )
