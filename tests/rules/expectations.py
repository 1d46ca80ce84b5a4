"""What the laws let pass, each with its reason: what nothing refers to, what is kept, what reaches across."""

_ZONES = "ABC"
_FUNCTION_ALARMS = ("Duration", "Errors", "Throttles")
_TIMED = ("Sweep", "Settle", "Ship", "Audit", "Finish", "Probe")
_STEPS = ("Fence", "Recover")
_STARTED = (*_TIMED, *_STEPS, "Decide")  # by the clock, the last three to be rehearsed
_STOPS = ("Differences", "OldestOpenEntry")  # drills, where there are any
_FAULTS = ("RegionLoss", "Partition", "LedgerLoss")
_FUNCTIONS = ("Api", "Migrate", "Compare", *_TIMED, "Rotate", *_STEPS, "Decide")
_ALARMS = (
    *("FailedRequests", "SlowPayments", "Health"),
    *(f"{function}Function{what}" for function in _FUNCTIONS for what in _FUNCTION_ALARMS),
    *(f"{function}FunctionIdle" for function in _STARTED),
    *("PeerUnreachable", "Mistakes", "TakeoverMistakes"),
    *("OpenEntries", "OldestOpenEntry", "Differences", "AuditAge", "LogAge", "DeadLetters"),
    *("LedgerCapacity", "LedgerConnections", "LedgerLag", "LedgerProcessor", "LedgerUnreachable"),
    *("LogBytes", "LogFailures", "LogLatency", "LogOperations"),
    *(f"{table}Throttles" for table in ("Control", "Directory", "Journal", "Progress", "Sessions")),
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
        **{f"{alarm}Alarm": "rings by being there" for alarm in _ALARMS if alarm not in _STOPS},
        "Subscriptionb69f14b8": "tells the operators",
        **{f"{function}Schedule": "starts the function by the clock" for function in _STARTED},
        "CompareFunction": "invoked by its name, by operators",
        "DeadLettersPolicy": "refuses whoever comes without TLS",
        "ApplicationRotation": "has the secret rotated",
        "MigratorRotation": "has the secret rotated",
        "FirewallAssociation": "puts the firewall before the API",
        "FirewallLogging": "keeps what the firewall decided",
        "ApiMayInvoke": "lets the API call its function",
        "FailoverRecord": "leads clients to the active region",
        "RegionalRecord": "leads to this region, and the health check to the primary",
        "RegionalMapping": "serves the API under the region's name",
        "SharedMapping": "serves the API under the domain",
        **{f"PeeringRoute{zone}": "the way to the other region's network" for zone in _ZONES},
    },
    "witness": {
        **{f"ProbeFunction{what}Alarm": "rings by being there" for what in (*_FUNCTION_ALARMS, "Idle")},
        "DeadLettersAlarm": "rings by being there",
        "DeadLettersPolicy": "refuses whoever comes without TLS",
        "ProbeSchedule": "starts the function by the clock",
        "Subscriptionb69f14b8": "tells the operators",
        "WitnessKeyAlias": "operators find the key by it",
    },
    "root": {
        "WitnessStackSet": "rolls the vote out, when everything it looks at is there",
        "Dashboard": "operators look at it",
        "RolloutKeyAlias": "operators find the key by it",
    },
}

TRAIL_LEAVES: dict[str, dict[str, str]] = {"root": {"AuditKeyAlias": "operators find the key by it"}}
FAULT_LEAVES: dict[str, dict[str, str]] = {
    "service": {f"Drill{fault}": "started by people, found by its tag" for fault in _FAULTS}
}
FAULTLESS_LEAVES: dict[str, dict[str, str]] = {
    "service": {f"{alarm}Alarm": "rings by being there" for alarm in _STOPS}
}
"""Of what can be switched off."""

KEPT: dict[str, str] = {
    "Boundary": "binds a role that is kept",
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
    "service": {
        "ApiFunction": "forwards to the other region while that is the active one",
        "ApiRole": "may do so",
        "ProbeFunction": "asks the other region's front door whether that region can be reached",
        "CompareRole": "compares both ledgers for operators; what it cannot reach it says",
        "FinishRole": "a promotion is asked of the region that is promoted, and names both clusters",
        "RotateRole": "the writer may be in either region; secrets are rotated as long as both are there",
    },
}
"""What is sent, asked or handed on. Nothing that one region needs when the other is gone waits for it."""

WILDCARDS: dict[str, str] = {
    "AdministerKey": "in a key policy * is the key itself; the actions neither encrypt nor decrypt",
    "AnswerCloudFormation": "object keys in CloudFormation's own bucket; only addresses that were signed",
    "AttachToNetwork": "Describe knows no resources, and a network interface has no name before it exists",
    "EncryptSchedules": "in a key policy * is the key itself; bound to our schedules",
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
    "ChangeOwnCertificates": "cannot be named before they exist; bound to the regions and to our tags",
    "ChangeOwnKeys": "a key's id is KMS's; bound to the regions and to our tags",
    "ChangeOwnNetworks": "cannot be named before they exist; bound to the regions and to our tags",
    "ChangeOwnPlans": "a plan's id is AWS Backup's; bound to the regions and to our tags",
    "ChangeRules": "rules have no names; their groups are asked for too",
    "ChangeSubscriptions": "these calls know no resources",
    "DeleteParts": "parts of an API have ids of API Gateway's",
    "DeliverLogs": "log deliveries and the leave for them belong to the region",
    "FindAlarms": "lists know no resources",
    "FindBackups": "lists know no resources",
    "FindBuckets": "lists know no resources",
    "FindDatabases": "lists know no resources",
    "FindFirewalls": "lists know no resources",
    "FindFunctions": "lists know no resources",
    "FindNetworks": "lists know no resources",
    "FindQueues": "lists know no resources",
    "FindSchedules": "lists know no resources",
    "FindSecrets": "lists know no resources",
    "FindRoles": "lists know no resources",
    "GuardStages": "a stage's API has an id of API Gateway's",
    "MakeApis": "an API's id is API Gateway's",
    "MakeCertificates": "cannot be named before they exist; bound to the regions",
    "MakeFirewalls": "AWS WAF ends its ids in a random suffix; rule groups are AWS's",
    "MakeHosts": "what a host name of ours leads to",
    "MakeKeys": "cannot be named before they exist; bound to the regions",
    "MakeNetworks": "cannot be named before they exist; bound to the regions",
    "MakePlans": "a plan's id is AWS Backup's",
    "Observe": "X-Ray and the tagging API know no resources",
    "ChangeCopies": "copies have ids of EC2's; only those that FIS tagged as its own",
    "ChangeOwnExperiments": "an experiment template's id is FIS's; bound to the regions and to our tags",
    "CopyAcls": "copies have ids of EC2's; only with FIS's tag",
    "CutOff": "what a subnet had before is put back: its own ACL, whichever that is",
    "FindExperiments": "lists know no resources",
    "FindTargets": "lists know no resources, and log deliveries belong to the region",
    "MakeExperiments": "an experiment template's id is FIS's",
    "PauseReplication": "a stream is named by when it was made",
    "TagCopies": "copies have ids of EC2's; only as they are made",
    "UseFaults": "which faults there are is FIS's affair; what they may touch, their roles say",
    "AwaitRecords": "a change's id is Route 53's",
    "ChangeHealthChecks": "a health check's id is Route 53's",
    "MakeHealthChecks": "these calls know no resources",
    "MakeServiceLinkedRoles": "AWS names these roles; bound to five services",
    "MakeStacks": "StackSets ends the stacks' names in an id of its own",
    "PublishCode": "zips are named by their content",
    "ReachOwnBuckets": "caller and bucket are of this account",
    "ReachOwnTables": "IAM decides; this only keeps other accounts out",
    "ReadPlan": "a plan's ARN ends in a random suffix",
    "ReadOutputs": "StackSets ends the stacks' names in an id of its own",
    "ReadVersions": "every object of the transaction log",
    "ReadTemplates": "StackSets copies templates into a bucket whose name it does not tell",
    "TakeSnapshots": "AWS Backup names its snapshots itself, all with the same beginning",
    "WriteApiLogs": "API Gateway takes no role that may do less; it serves every API of the account",
    "MakeMetricsGroup": "so ends the ARN of a log group",
    "WriteMetrics": "RDS names a stream by each instance",
    "WriteReplicas": "every object of the transaction log",
    "SendTraces": "X-Ray knows no resources",
    "TagCertificates": "cannot be named before they exist; never what has another's tags",
    "TagKeys": "cannot be named before they exist; never what has another's tags",
    "TagNetworks": "cannot be named before they exist; never what has another's tags",
    "UseOwnSecrets": "the database users' secrets; which one, the role's own policy says",
    "UseTables": "indexes of our tables; which one, the role's own policy says",
    "UseDatabases": "AWS Backup names its snapshots itself, all with the same beginning",
    "UseBuckets": "everything in our buckets, as far as a role's own policy lets it",
    "UseKeys": "a boundary grants nothing: which key, the role's own policy says",
    "UseOwnKeys": "the key is told by its alias, which IAM takes as a condition only",
    "WriteLog": "every object of the transaction log",
    "WriteLogs": "a boundary grants nothing: which group, the role's own policy says",
    "UseKeyForControlRecord": "the key is told by its alias, which IAM takes as a condition only",
    "UsePrimaryKeyForCode": "the key is told by its alias, which IAM takes as a condition only",
    "UseSecondaryKeyForCode": "the key is told by its alias, which IAM takes as a condition only",
    "UsePrimaryKeyForTables": "the key is told by its alias, which IAM takes as a condition only",
    "UseSecondaryKeyForTables": "the key is told by its alias, which IAM takes as a condition only",
    "FindPlan": "lists know no resources",
    "FindVotes": "composite alarms are described to nobody with less",
    "StartPlan": "a plan's ARN ends in a random suffix",
    "Vote": "measurements know no resources; bound to our namespace",
    "UseThroughServices": "in a key policy * is the key itself; only by way of these services",
}
