"""Who may reach the database: functions of this region, and the other region's network by the peering."""

from troposphere import AWSHelperFn, Tags, Template, ec2

from templates.network import ANYWHERE
from templates.places import lookup

PORT = 5432
_NOWHERE = "127.0.0.1/32"  # without any rule of ours, EC2 adds one that allows everything


def add_security_groups(
    template: Template, vpc_id: AWSHelperFn
) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup]:
    """The application's and the database's; each names the other, so their rules are separate resources."""
    application = template.add_resource(
        ec2.SecurityGroup(
            "ApplicationSecurityGroup",
            GroupDescription="Functions that use the database",
            VpcId=vpc_id,
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(
                    IpProtocol="tcp",
                    FromPort=443,
                    ToPort=443,
                    CidrIp=ANYWHERE,
                    Description="AWS services, through gateway endpoints and NAT",
                )
            ],
            Tags=Tags(Name="application"),
        )
    )
    database = template.add_resource(
        ec2.SecurityGroup(
            "DatabaseSecurityGroup",
            GroupDescription="The database",
            VpcId=vpc_id,
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(
                    IpProtocol="tcp",
                    FromPort=PORT,
                    ToPort=PORT,
                    CidrIp=_NOWHERE,
                    Description="Nothing: a database answers, it never calls",
                )
            ],
            Tags=Tags(Name="database"),
        )
    )
    for rule in (
        ec2.SecurityGroupEgress(
            "ApplicationToDatabase",
            GroupId=application.get_att("GroupId"),
            DestinationSecurityGroupId=database.get_att("GroupId"),
            Description="The database of this region",
        ),
        ec2.SecurityGroupEgress(
            "ApplicationToPeer",
            GroupId=application.get_att("GroupId"),
            CidrIp=lookup("PeerCidr"),
            Description="The database of the other region, by the peering",
        ),
        ec2.SecurityGroupIngress(
            "DatabaseFromApplication",
            GroupId=database.get_att("GroupId"),
            SourceSecurityGroupId=application.get_att("GroupId"),
            Description="Functions of this region",
        ),
        ec2.SecurityGroupIngress(
            "DatabaseFromPeer",
            GroupId=database.get_att("GroupId"),
            CidrIp=lookup("PeerCidr"),
            Description="Functions of the other region, by the peering",
        ),
    ):
        rule.IpProtocol, rule.FromPort, rule.ToPort = "tcp", PORT, PORT
        template.add_resource(rule)
    return application, database
