"""What the laws let pass, each with its reason: resources nothing refers to, and wildcards."""

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
    "zone": {},
    "foundation": {
        "CodeBucketPolicy": "refuses whoever comes without TLS",
        "DataKeyAlias": "tables, secrets and their replicas name the key by it",
        "DynamoDbEndpoint": "tables are reached without NAT",
        "S3Endpoint": "buckets are reached without NAT",
        "PublicRoute": "the way from the NAT gateways to the internet",
        **{f"PrivateRoute{zone}": "the way from the zone to its NAT gateway" for zone in _ZONES},
        **{f"PrivateRoutes{zone}": "gives the private subnet its routes" for zone in _ZONES},
        **{f"PublicRoutes{zone}": "gives the public subnet its routes" for zone in _ZONES},
    },
    "data": {
        "Instance1": "without an instance a cluster answers nobody",
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

WILDCARDS: dict[str, str] = {
    "AdministerKey": "in a key policy * is the key itself; the actions neither encrypt nor decrypt",
    "AnswerCloudFormation": "object keys in CloudFormation's own bucket; only addresses that were signed",
    "AttachToNetwork": "Describe knows no resources, and a network interface has no name before it exists",
    "EncryptAlarms": "in a key policy * is the key itself; only for alarms of this account",
    "EncryptLogs": "in a key policy * is the key itself; bound to our log groups",
    "FindInstances": "StackSets end their ids in a random suffix",
    "GrantToServices": "in a key policy * is the key itself; only grants to AWS services",
    "MakeAlarms": "whatever an alarm of ours needs, on our names only",
    "MakeBuckets": "whatever a bucket of ours needs, on our buckets only",
    "MakeDatabases": "whatever a database of ours needs, on our names only",
    "MakeFirewalls": "whatever an ACL of ours needs; a stage's id is API Gateway's, rule groups are AWS's",
    "MakeFunctions": "whatever a function of ours needs, on our names only",
    "MakeLogGroups": "whatever a log group of ours needs, on our names only",
    "MakeRecords": "the zone may be known to another stack only; health checks have no names",
    "MakeServiceLinkedRoles": "AWS names these roles; bound to two services",
    "MakeStacks": "StackSets ends the stacks' names in an id of its own",
    "MakeTopics": "whatever a topic of ours needs, on our names only",
    "MakeUnnamed": "cannot be named before it exists; bound to the two regions",
    "PublishCode": "zips are named by their content",
    "ReachOwnBuckets": "caller and bucket are of this account",
    "ReachOwnTables": "IAM decides; this only keeps other accounts out",
    "ReadOutputs": "StackSets ends the stacks' names in an id of its own",
    "ReadTemplates": "StackSets copies templates into a bucket whose name it does not tell",
    "SendTraces": "X-Ray knows no resources",
    "UseKeyForControlRecord": "the key is told by its alias, which IAM takes as a condition only",
    "UsePrimaryKeyForCode": "the key is told by its alias, which IAM takes as a condition only",
    "UseSecondaryKeyForCode": "the key is told by its alias, which IAM takes as a condition only",
    "UseThroughServices": "in a key policy * is the key itself; only by way of these services",
}
