"""What the laws let pass, each with its reason: what nothing refers to, what is kept, what reaches across."""

_ZONES = "ABC"
_FUNCTION_ALARMS = ("Duration", "Errors", "Throttles")
_ALARMS = (
    *("FailedRequests", "SlowPayments", "Health"),
    *(f"{function}Function{what}" for function in ("Api", "Migrate") for what in _FUNCTION_ALARMS),
    *("LedgerCapacity", "LedgerConnections", "LedgerLag", "LedgerProcessor", "LedgerUnreachable"),
    *("LogBytes", "LogFailures", "LogLatency", "LogOperations"),
    *(f"{table}Throttles" for table in ("Control", "Directory", "Journal", "Sessions")),
    *("JournalLatency", "SessionsLag", "NatPorts"),
)

LEAVES: dict[str, dict[str, str]] = {
    "zone": {"QueryLogKeyAlias": "operators find the key by it"},
    "foundation": {
        "AccessLogBucketPolicy": "refuses whoever comes without TLS, and lets S3 deliver access logs",
        "ApiAccount": "API Gateway can log by it",
        "CodeBucketPolicy": "refuses whoever comes without TLS",
        "FlowLog": "tells who talked to whom",
        "ReceivedBucketPolicy": "refuses whoever comes without TLS, and who is not the other region's sender",
        "DataKeyAlias": "tables, secrets and their replicas name the key by it",
        "DynamoDbEndpoint": "tables are reached without NAT",
        "S3Endpoint": "buckets are reached without NAT",
        "PublicRoute": "the way from the NAT gateways to the internet",
        **{f"PrivateRoute{zone}": "the way from the zone to its NAT gateway" for zone in _ZONES},
        **{f"PrivateRoutes{zone}": "gives the private subnet its routes" for zone in _ZONES},
        **{f"PublicRoutes{zone}": "gives the public subnet its routes" for zone in _ZONES},
    },
    "data": {
        "BackupSelection": "gives the backup plan its cluster",
        "Instance2": "takes over from the first one",
        "TransactionsBucketPolicy": "refuses whoever comes without TLS",
        "ApplicationToDatabase": "lets functions call the database",
        "ApplicationToPeer": "lets functions call the other region's database",
        "DatabaseFromApplication": "lets the database hear functions",
        "DatabaseFromPeer": "lets the database hear the other region's functions",
    },
    "service": {
        **{f"{alarm}Alarm": "rings by being there" for alarm in _ALARMS},
        "AlertTopicPolicy": "lets alarms publish, and nobody else",
        "Subscriptionb69f14b8": "tells the operators",
        "FirewallAssociation": "puts the firewall before the API",
        "FirewallLogging": "keeps what the firewall decided",
        "ApiMayInvoke": "lets the API call its function",
        "FailoverRecord": "leads clients to the active region",
        "RegionalRecord": "leads to this region, and the health check to the primary",
        "RegionalMapping": "serves the API under the region's name",
        "SharedMapping": "serves the API under the domain",
        **{f"PeeringRoute{zone}": "the way to the other region's network" for zone in _ZONES},
    },
    "root": {
        "Dashboard": "operators look at it",
        "RolloutKeyAlias": "operators find the key by it",
        "ServiceStackSet": "the last step of the rollout",
    },
}

OPTIONAL_LEAVES: dict[str, dict[str, str]] = {"root": {"AuditKeyAlias": "operators find the key by it"}}
"""Of what can be switched off."""

KEPT: dict[str, str] = {
    "ApiAccount": "a setting of the account, which other APIs may use",
    "ApiLogRole": "named by that setting",
}

REACHES: dict[str, dict[str, str]] = {
    "foundation": {"ReceivedBucketPolicy": "names the role that the other region sends its log by"},
    "data": {
        "BackupPlan": "copies backups to the other region's vault",
        "BackupRole": "may do so",
        "ReplicationRole": "may send the log to the other region's bucket",
        "TransactionsBucket": "sends the log there",
    },
    "service": {},
}
"""Copies that are sent. Nothing waits for what they name: without the other region they are sent later."""

WILDCARDS: dict[str, str] = {
    "AdministerKey": "in a key policy * is the key itself; the actions neither encrypt nor decrypt",
    "AnswerCloudFormation": "object keys in CloudFormation's own bucket; only addresses that were signed",
    "AttachToNetwork": "Describe knows no resources, and a network interface has no name before it exists",
    "EncryptAlarms": "in a key policy * is the key itself; only for alarms of this account",
    "DeleteVersions": "everything in a test environment's buckets, and in no other's",
    "DeliverAccessLogs": "whatever S3 calls its logs; bound to our buckets",
    "DeliverTrail": "whatever CloudTrail calls its files; bound to our trail",
    "EncryptReplicas": "the key is told by its alias, which IAM takes as a condition only",
    "EncryptTrail": "in a key policy * is the key itself; bound to our trail",
    "DescribeToTrail": "in a key policy * is the key itself; bound to our trail",
    "EncryptLogs": "in a key policy * is the key itself; bound to our log groups",
    "FillVaults": "AWS Backup names its snapshots itself; bound to our vaults and to what it made",
    "FindResources": "the tagging API knows no resources",
    "FindInstances": "StackSets end their ids in a random suffix",
    "GrantToServices": "in a key policy * is the key itself; only grants to AWS services",
    "KeepPeerKey": "the key is told by its alias, which IAM takes as a condition only",
    "MakeAlarms": "whatever an alarm of ours needs, on our names only",
    "MakeBackups": "whatever a vault of ours needs, on our names only; a plan's id is AWS Backup's",
    "MakeBuckets": "whatever a bucket of ours needs, on our buckets only",
    "MakeDatabases": "whatever a database of ours needs, on our names only",
    "MakeFirewalls": "whatever an ACL of ours needs; a stage's id is API Gateway's, rule groups are AWS's",
    "MakeFunctions": "whatever a function of ours needs, on our names only",
    "MakeLogGroups": "whatever a log group of ours needs, on our names only",
    "MakeRecords": "the zone may be known to another stack only; health checks have no names",
    "MakeServiceLinkedRoles": "AWS names these roles; bound to three services",
    "MakeStacks": "StackSets ends the stacks' names in an id of its own",
    "MakeTopics": "whatever a topic of ours needs, on our names only",
    "MakeUnnamed": "cannot be named before it exists; bound to the two regions",
    "PublishCode": "zips are named by their content",
    "ReachOwnBuckets": "caller and bucket are of this account",
    "ReachOwnTables": "IAM decides; this only keeps other accounts out",
    "ReadOutputs": "StackSets ends the stacks' names in an id of its own",
    "ReadVersions": "every object of the transaction log",
    "ReadTemplates": "StackSets copies templates into a bucket whose name it does not tell",
    "TakeSnapshots": "AWS Backup names its snapshots itself, all with the same beginning",
    "WriteApiLogs": "API Gateway takes no role that may do less; it serves every API of the account",
    "WriteMetrics": "RDS names a stream by each instance",
    "WriteReplicas": "every object of the transaction log",
    "SendTraces": "X-Ray knows no resources",
    "UseKeyForControlRecord": "the key is told by its alias, which IAM takes as a condition only",
    "UsePrimaryKeyForCode": "the key is told by its alias, which IAM takes as a condition only",
    "UseSecondaryKeyForCode": "the key is told by its alias, which IAM takes as a condition only",
    "UseThroughServices": "in a key policy * is the key itself; only by way of these services",
}
