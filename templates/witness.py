"""The third region: it has no part in payments, and a vote on whether the active region can be reached."""

from troposphere import Output, Template

from templates import policies
from templates.alarms import witness_alarms
from templates.config import Settings
from templates.dead_letters import add_dead_letters, add_event_config, may_send_dead_letters
from templates.encryption import KeyPlan, add_key
from templates.functions import add_function
from templates.monitoring import add_alarm
from templates.notifications import add_topic
from templates.policies import Value
from templates.probe import witness_probe
from templates.schedules import Timer, add_group, add_schedule
from templates.sites import Site, witness_site


def render(settings: Settings, probe: str) -> Template:
    """`probe` is the text of the function: the region has no bucket for code."""
    template = Template(Description="Payments: the witness region's vote, and what watches it")
    template.set_version()
    site = witness_site(settings, _add_key(template, settings))
    timer = witness_probe(settings, site, probe)
    queue = add_dead_letters(template, site)
    function = add_function(template, settings, may_send_dead_letters(site, timer.plan))
    events = add_event_config(template, timer.plan, function, queue, timer.age_seconds)
    group = add_group(template, site)
    add_schedule(template, settings, site, timer, function, group, queue).DependsOn = [events]
    _add_alarms(template, settings, site, timer)
    return template


def _add_key(template: Template, settings: Settings) -> Value:
    names, region = settings.names, settings.regions.witness
    key = add_key(
        template,
        KeyPlan(
            title="WitnessKey",
            description="Encrypts the function and the logs of the witness region",
            alias=names.alias("probe", "witness"),
            services=("lambda", "sns", "sqs"),
            regions=(region,),
            log_groups=(names.log_group(f"{names.service}-*"),),
            alarms=True,
            statements=(policies.encrypt_schedules(f"{names.service}-*/{names.service}-*"),),
            disposable=settings.test_environment,
        ),
    )
    return key.get_att("Arn")


def _add_alarms(template: Template, settings: Settings, site: Site, timer: Timer) -> None:
    topic = add_topic(
        template, site.name("alerts"), settings.alerts.emails, site.key_arn, alarms=site.name("*")
    )
    for plan in witness_alarms(site, timer):
        add_alarm(template, site, topic, plan)
    template.add_output(
        Output("AlertTopicArn", Description="Topic that the witness region's alarms tell.", Value=topic.arn)
    )
