"""Web ACLs in front of a stage: associated, evaluated for every request, what is blocked answered.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-wafv2-webaclassociation.html
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region, json_response
from ministack.services import apigateway_v1, waf

from lab.embedded import metrics, waf_logs
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, Response, checked, tag_list
from lab.embedded.waf_logs import MISSING, refusal
from lab.embedded.waf_managed import GROUPS
from lab.embedded.waf_rules import (
    Context,
    NotModelledError,
    Rates,
    Verdict,
    WebRequest,
    decide,
    require_modelled,
)

_ACL = "AWS::WAFv2::WebACL"
_IN_USE = (
    "AWS WAF couldn’t perform the operation because your resource is being used by another resource or it’s "  # noqa: RUF001
    "associated with another resource."
)
_rates = Rates()


def register(handlers: Handlers) -> None:
    acl = handlers[_ACL]
    acl["create"] = _modelled(acl["create"], 1)
    acl["update"] = _modelled(acl["update"], 2)
    acl["delete"] = _unused(acl["delete"])
    handlers["AWS::WAFv2::WebACLAssociation"] = {"create": associate, "delete": dissociate}
    waf._associate_web_acl = _with_existing_stage
    waf._create_web_acl = _plain(waf._create_web_acl)
    waf._update_web_acl = _plain(waf._update_web_acl)
    waf._get_web_acl = _encoded(waf._get_web_acl)
    waf._get_web_acl_for_resource = _encoded(waf._get_web_acl_for_resource)
    waf._delete_web_acl = _not_in_use(waf._delete_web_acl)


# --- resources --------------------------------------------------------------------------------------------


def _modelled(inherited: Callable[..., Created], position: int) -> Callable[..., Created]:
    def act(*arguments: Any) -> Created:
        properties: Properties = arguments[position]
        try:
            require_modelled(properties)
        except NotModelledError as error:
            raise ResourceError(f"The lab cannot evaluate {error}; see docs/lab.md") from error
        if position == 1 and any(
            record["Name"] == properties.get("Name")
            for record in waf._values_for_scope(waf._web_acls, "REGIONAL")
        ):
            raise ResourceError(f"{waf._DUPLICATE_ITEM_MESSAGE} (WAFDuplicateItemException)")
        created = inherited(*arguments)
        record = waf._web_acls[created[1]["Id"]]
        record["Capacity"] = capacity(properties)
        record["LabelNamespace"] = f"awswaf:{get_account_id()}:webacl:{record['Name']}:"
        for name in ("CustomResponseBodies", "AssociationConfig", "TokenDomains"):
            if name in properties:
                record[name] = properties[name]
        waf._waf_tags[record["ARN"]] = tag_list(properties.get("Tags"))
        attributes = {
            **created[1],
            "Capacity": record["Capacity"],
            "LabelNamespace": record["LabelNamespace"],
        }
        return created[0], attributes

    return act


def capacity(acl: Mapping[str, Any]) -> int:
    """Web ACL capacity units of managed groups as AWS lists them; of other rules about what AWS charges."""
    units = 0
    for rule in acl.get("Rules") or ():
        group = rule["Statement"].get("ManagedRuleGroupStatement")
        units += GROUPS[group["Name"]].capacity if group else 2
    return units


def _unused(inherited: Callable[..., None]) -> Callable[..., None]:
    def delete(physical_id: str, properties: Properties) -> None:
        acl = waf._web_acls.get(physical_id.split("|")[1]) if "|" in physical_id else None
        if acl is not None:
            if acl["ARN"] in set(waf._associations.values()):
                raise ResourceError(f"{_IN_USE} (WAFAssociatedItemException)")
            waf_logs.forget(acl["ARN"])
        inherited(physical_id, properties)

    return delete


def _not_in_use(inherited: Callable[[Properties], Response]) -> Callable[[Properties], Response]:
    def delete(request: Properties) -> Response:
        acl = waf._web_acls.get(request.get("Id", ""))
        if acl is not None and acl["ARN"] in set(waf._associations.values()):
            return refusal("WAFAssociatedItemException", _IN_USE)
        return inherited(request)

    return delete


def _plain(inherited: Callable[[Properties], Response]) -> Callable[[Properties], Response]:
    """The API's search strings are bytes; the lab keeps them as templates write them."""

    def act(request: Properties) -> Response:
        return inherited(_search_strings(request, lambda text: base64.b64decode(text).decode()))

    return act


def _encoded(inherited: Callable[[Properties], Response]) -> Callable[[Properties], Response]:
    def describe(request: Properties) -> Response:
        status, headers, body = inherited(request)
        words = _search_strings(json.loads(body), lambda text: base64.b64encode(text.encode()).decode())
        return status, headers, json.dumps(words).encode()

    return describe


def _search_strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {
            name: change(one) if name == "SearchString" else _search_strings(one, change)
            for name, one in value.items()
        }
    return [_search_strings(one, change) for one in value] if isinstance(value, list) else value


def associate(logical_id: str, properties: Properties, stack_name: str) -> Created:
    resource, acl = properties["ResourceArn"], properties["WebACLArn"]
    checked(_with_existing_stage({"ResourceArn": resource, "WebACLArn": acl}))
    return f"{resource}|{acl}", {}


def dissociate(physical_id: str, properties: Properties) -> None:
    resource = physical_id.partition("|")[0]
    if waf._associations.pop(resource, None) is not None and (stage := _stage(resource)) is not None:
        stage.pop("webAclArn", None)


def _with_existing_stage(request: Properties) -> Response:
    resource, arn = str(request.get("ResourceArn", "")), str(request.get("WebACLArn", ""))
    _, unknown = waf._resolve_local_web_acl(arn)
    if unknown or f":{get_region()}:" not in arn:
        return refusal("WAFNonexistentItemException", MISSING)
    stage = _stage(resource)
    if stage is None:
        return refusal(
            "WAFUnavailableEntityException",
            "AWS WAF couldn’t retrieve the resource that you requested. Retry your request.",  # noqa: RUF001
        )
    waf._associations[resource] = arn
    stage["webAclArn"] = arn
    answer: Response = json_response({})
    return answer


def _stage(resource: str) -> Properties | None:
    """The stage `arn:aws:apigateway:REGION::/restapis/API/stages/STAGE` names, in this region."""
    parts = resource.split("/")
    if len(parts) != 5 or f":{get_region()}:" not in resource:
        return None
    stage: Properties | None = (apigateway_v1._stages_v1.get(parts[2]) or {}).get(parts[4])
    return stage


# --- requests ---------------------------------------------------------------------------------------------


def judge(api: str, stage: str, request: WebRequest) -> Verdict | None:
    """What the stage's web ACL says, None when it has none; counted and logged."""
    arn = waf._associations.get(f"arn:aws:apigateway:{get_region()}::/restapis/{api}/stages/{stage}")
    acl, _ = waf._resolve_local_web_acl(arn) if arn else (None, None)
    if acl is None:
        return None
    verdict = decide(Context(acl, request, _rates, _set, time.time()))
    _measure(acl, verdict)
    waf_logs.write(acl, f"{get_account_id()}:{api}:{stage}", request, verdict)
    return verdict


def custom_body(verdict: Verdict) -> tuple[dict[str, str], str]:
    """The header of its type and the text of what the web ACL answers by itself."""
    body = verdict.response.get("Body") or {}
    kinds = {"APPLICATION_JSON": "application/json", "TEXT_HTML": "text/html", "TEXT_PLAIN": "text/plain"}
    kind = kinds.get(str(body.get("ContentType")))
    return {"Content-Type": kind} if kind else {}, str(body.get("Content", ""))


def _set(arn: str) -> Properties:
    kind, key, _ = waf._parse_local_waf_arn(arn, ("ipset", "regexpatternset"))
    found: Properties = waf._resource_store(kind).get_scoped(*key)
    return found


def _measure(acl: Properties, verdict: Verdict) -> None:
    name = "BlockedRequests" if verdict.action == "BLOCK" else "AllowedRequests"
    by_rule = [(verdict.rule or "Default_Action", name), ("ALL", name)]
    by_rule += [(rule, "CountedRequests") for rule in verdict.counted]
    metric_names = {rule["Name"]: rule["VisibilityConfig"]["MetricName"] for rule in acl.get("Rules") or ()}
    for rule, metric in by_rule:
        where = {"WebACL": acl["VisibilityConfig"]["MetricName"], "Region": get_region()}
        metrics.record("AWS/WAFV2", metric, 1, "Count", {**where, "Rule": metric_names.get(rule, rule)})
