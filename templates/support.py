"""What AWS offers and until when: region sets, engine versions, runtimes. Each says where to look again."""

from datetime import date

STRONG_CONSISTENCY_SETS = (
    frozenset({"us-east-1", "us-east-2", "us-west-2"}),
    frozenset({"eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1"}),
    frozenset({"ap-northeast-1", "ap-northeast-2", "ap-northeast-3"}),
)
"""A multi-Region strongly consistent table takes all three of its regions from one of these.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
"""

ZONE_REGION = "us-east-1"
"""Where a zone's queries are logged, and so where its stack is.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/query-logs.html
"""

ENGINE_VERSIONS = (
    *("14.6", "14.17", "14.18", "14.19", "14.20", "14.22"),
    *("15.10", "15.12", "15.13", "15.14", "15.15", "15.17"),
    *("16.8", "16.9", "16.10", "16.11", "16.13"),
    *("17.4", "17.5", "17.6", "17.7", "17.9"),
    "18.3",
)
"""Aurora PostgreSQL versions that can be created and do not start in extended support.

cfn-lint 1.53.3, ``aws_rds_dbcluster/engine_version.json`` without ``engine_version_deprecated.json``.
Long-term support: 14.6, 15.10, 16.8, 17.7.
"""

ENGINE_SUPPORT_ENDS = {
    "14": date(2027, 2, 28),
    "15": date(2028, 2, 29),
    "16": date(2029, 2, 28),
    "17": date(2030, 2, 28),
    "18": date(2031, 2, 28),
}
"""When a major version of Aurora PostgreSQL leaves standard support (then extended support is charged).

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraPostgreSQLReleaseNotes/aurorapostgresql-release-calendar.html
"""

RUNTIME_SUPPORT_ENDS = {
    "python3.11": date(2027, 6, 30),
    "python3.12": date(2028, 10, 31),
    "python3.13": date(2029, 6, 30),
    "python3.14": date(2029, 6, 30),
}
"""When Lambda deprecates a runtime: no more security patches; creating functions is blocked a month later.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html, as cfn-lint 1.53.3 has it in
``LmbdRuntimeLifecycle.json``
"""
