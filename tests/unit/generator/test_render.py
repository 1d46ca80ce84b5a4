"""What is written is what troposphere says, though it is not asked for all of it."""

import json

import pytest
from troposphere import Equals, Parameter, Ref, Template, sns

from generator.render import OPENAPI, PROBE, text
from templates import data, foundation, root, service, witness, zone
from tests.rules.variants import SETTINGS


@pytest.mark.parametrize("name", ["default", "test-environment"])
def test_a_template_is_what_troposphere_makes_of_it(name: str) -> None:
    settings = SETTINGS[name]()
    probe = PROBE.read_text("utf-8")
    regional = {
        "foundation": foundation.render(settings),
        "data": data.render(settings),
        "service": service.render(settings, json.loads(OPENAPI.read_text("utf-8")), probe),
        "witness": witness.render(settings, probe),
    }
    texts = {title: text(template) for title, template in regional.items()}
    for template in (*regional.values(), zone.render(settings), root.render(settings, texts)):
        assert json.loads(text(template)) == json.loads(json.dumps(template.to_dict()))


def test_every_section_is_written() -> None:
    template = Template(Description="all", Metadata={"Kept": "too"})
    template.set_version()
    template.set_transform("AWS::Serverless-2016-10-31")
    name = template.add_parameter(Parameter("Name", Type="String"))
    template.add_mapping("Map", {"a": {"b": "c"}})
    template.add_condition("Named", Equals(Ref(name), "one"))
    template.add_rule("Rule", {"Assertions": []})
    template.add_resource(sns.Topic("Topic", TopicName=Ref(name)))
    assert json.loads(text(template)) == template.to_dict()


def test_what_lacks_a_property_is_refused() -> None:
    template = Template()
    template.add_resource(sns.SubscriptionResource("Subscription", Endpoint="someone@example.com"))
    with pytest.raises(ValueError, match="Protocol required"):
        text(template)
