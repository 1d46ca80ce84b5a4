"""What the embedded AWS does not do in, to and from a region that is dead or cut off."""

from lab.outages import Outages
from tests.integration.embedded.embedded_aws import HOME, PEER, EmbeddedAws, during, eventually, unique


def test_alarms_stand_still_in_a_dead_region(aws: EmbeddedAws) -> None:
    name = unique("alarm")
    watches = {"Namespace": name, "MetricName": "Failed"}
    clients = {region: aws.client("cloudwatch", region) for region in (HOME, PEER)}

    def state(region: str) -> str:
        (alarm,) = clients[region].describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return str(alarm["StateValue"])

    with during(aws, Outages(down=frozenset({PEER}))):
        for client in clients.values():
            client.put_metric_alarm(
                AlarmName=name,
                Statistic="Sum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=0.5,
                ComparisonOperator="GreaterThanThreshold",
                **watches,
            )
            client.put_metric_data(Namespace=name, MetricData=[{"MetricName": "Failed", "Value": 1}])
        eventually(lambda: state(HOME) == "ALARM", "the alarm of the living region")
        assert state(PEER) == "INSUFFICIENT_DATA"
    eventually(lambda: state(PEER) == "ALARM", "the alarm of the region that came back")
