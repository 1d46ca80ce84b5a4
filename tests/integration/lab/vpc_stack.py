"""A function in a VPC of its own, with every piece its ways out are made of."""

from tests.integration.lab.stacks import Template, cluster, resource

_REACHES = """\
import socket
import urllib.request
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

def handle(event, context):
    if event["asks"] == "database":
        try:
            with socket.create_connection((event["host"], event["port"]), 5) as connection:
                connection.sendall(bytes((0, 0, 0, 8, 4, 210, 22, 47)))
                return connection.recv(1).decode()
        except ConnectionResetError:
            return ""
    if event["asks"] == "https":
        try:
            urllib.request.urlopen("https://elsewhere.example/", timeout=3)
        except OSError as error:
            return str(error)
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=3)
    try:
        if event["asks"] == "identity":
            boto3.client("sts", config=config).get_caller_identity()
        else:
            boto3.client("dynamodb", config=config).list_tables()
    except EndpointConnectionError as error:
        return type(error).__name__
    except ClientError:
        pass
    return "reached"
"""


def function_in_a_vpc() -> Template:
    """One zone with a NAT gateway, a gateway endpoint, a cluster, and a function that tries its ways."""
    trust = {"Principal": {"Service": "lambda.amazonaws.com"}, "Effect": "Allow", "Action": "sts:AssumeRole"}
    vpc = {"Ref": "Vpc"}
    postgres = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432}
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
    application, database = ({"Fn::GetAtt": [group, "GroupId"]} for group in ("Application", "Database"))
    members = cluster("reach", "")
    del members["Resources"]["Cluster"]["Properties"]["GlobalClusterIdentifier"]
    members["Resources"]["Cluster"]["Properties"].update(
        MasterUsername="ledger_master",
        MasterUserPassword="made-up password",
        DBSubnetGroupName={"Ref": "SubnetGroup"},
        VpcSecurityGroupIds=[database],
    )
    resources = {
        **members["Resources"],
        "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.9.0.0/16"),
        "Public": resource("AWS::EC2::Subnet", VpcId=vpc, CidrBlock="10.9.0.0/24"),
        "Private": resource("AWS::EC2::Subnet", VpcId=vpc, CidrBlock="10.9.1.0/24"),
        "Gateway": resource("AWS::EC2::InternetGateway"),
        "Attachment": resource(
            "AWS::EC2::VPCGatewayAttachment", VpcId=vpc, InternetGatewayId={"Ref": "Gateway"}
        ),
        "Address": resource("AWS::EC2::EIP", Domain="vpc"),
        "Nat": resource(
            "AWS::EC2::NatGateway",
            SubnetId={"Ref": "Public"},
            AllocationId={"Fn::GetAtt": ["Address", "AllocationId"]},
        ),
        "PublicRoutes": resource("AWS::EC2::RouteTable", VpcId=vpc),
        "PrivateRoutes": resource("AWS::EC2::RouteTable", VpcId=vpc),
        "ToInternet": resource(
            "AWS::EC2::Route",
            RouteTableId={"Ref": "PublicRoutes"},
            DestinationCidrBlock="0.0.0.0/0",
            GatewayId={"Ref": "Gateway"},
        ),
        "ToNat": resource(
            "AWS::EC2::Route",
            RouteTableId={"Ref": "PrivateRoutes"},
            DestinationCidrBlock="0.0.0.0/0",
            NatGatewayId={"Ref": "Nat"},
        ),
        "Tables": resource(
            "AWS::EC2::VPCEndpoint",
            VpcId=vpc,
            ServiceName={"Fn::Sub": "com.amazonaws.${AWS::Region}.dynamodb"},
            RouteTableIds=[{"Ref": "PrivateRoutes"}],
        ),
        "Application": resource(
            "AWS::EC2::SecurityGroup",
            GroupDescription="function",
            VpcId=vpc,
            SecurityGroupEgress=[https, {**postgres, "CidrIp": "10.9.0.0/16"}],
        ),
        "Database": resource(
            "AWS::EC2::SecurityGroup",
            GroupDescription="database",
            VpcId=vpc,
            SecurityGroupIngress=[{**postgres, "SourceSecurityGroupId": application}],
        ),
        "SubnetGroup": resource(
            "AWS::RDS::DBSubnetGroup", DBSubnetGroupDescription="one zone", SubnetIds=[{"Ref": "Private"}]
        ),
        "Flows": resource("AWS::Logs::LogGroup", LogGroupName="reach-flows"),
        "FlowRole": resource(
            "AWS::IAM::Role",
            AssumeRolePolicyDocument={
                "Version": "2012-10-17",
                "Statement": [{**trust, "Principal": {"Service": "vpc-flow-logs.amazonaws.com"}}],
            },
            Policies=[
                {
                    "PolicyName": "deliver",
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}],
                    },
                }
            ],
        ),
        "FlowLog": resource(
            "AWS::EC2::FlowLog",
            ResourceType="VPC",
            ResourceId=vpc,
            TrafficType="ALL",
            LogGroupName={"Ref": "Flows"},
            DeliverLogsPermissionArn={"Fn::GetAtt": ["FlowRole", "Arn"]},
        ),
        "Role": resource(
            "AWS::IAM::Role", AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trust]}
        ),
        "Function": {
            **resource(
                "AWS::Lambda::Function",
                FunctionName="reach",
                Runtime="python3.11",
                Handler="index.handle",
                Timeout=10,
                Role={"Fn::GetAtt": ["Role", "Arn"]},
                Code={"ZipFile": _REACHES},
                VpcConfig={"SubnetIds": [{"Ref": "Private"}], "SecurityGroupIds": [application]},
            ),
            "DependsOn": ["ToNat", "ToInternet", "Tables", "PrivateAssociation", "PublicAssociation"],
        },
    }
    for kind in ("Public", "Private"):
        resources[f"{kind}Association"] = resource(
            "AWS::EC2::SubnetRouteTableAssociation",
            SubnetId={"Ref": kind},
            RouteTableId={"Ref": f"{kind}Routes"},
        )
    outputs = {
        **members["Outputs"],
        "Application": {"Value": application},
        "Database": {"Value": database},
        "PrivateRoutes": {"Value": {"Ref": "PrivateRoutes"}},
        "Nat": {"Value": {"Ref": "Nat"}},
    }
    return {"Resources": resources, "Outputs": outputs}
