"""The part of AWS's managed rule groups that is published precisely enough to be evaluated here.

https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html. What AWS keeps
secret (reputation of addresses, signatures of attacks) matches nothing in the lab: what passes here may be
blocked on AWS.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from lab.embedded.waf_rules import WebRequest

Applies = Callable[["WebRequest"], bool]
_INSPECTED = 16 * 1024


@dataclass(frozen=True, slots=True)
class Group:
    """`capacity` in web ACL capacity units, as AWS lists it."""

    capacity: int
    rules: Mapping[str, Applies]


def _body(request: "WebRequest") -> str:
    return unquote(request.body[:_INSPECTED].decode("utf-8", "replace"))


def _text(request: "WebRequest") -> tuple[str, ...]:
    return (unquote(request.path), unquote(request.query), _body(request), *request.headers.values())


_TRAVERSAL = re.compile(r"\.\.[/\\]")
_LOG4J = re.compile(r"\$\{\s*jndi\s*:", re.IGNORECASE)
_METADATA = "169.254.169.254"
_BAD_BOTS = ("nessus", "nmap")
_RESTRICTED = (".log", ".ini")
_EXPLOITABLE = ("/web-inf", "/.git/", "/.env", "/phpinfo")

GROUPS: Mapping[str, Group] = {
    "AWSManagedRulesCommonRuleSet": Group(
        700,
        {
            "NoUserAgent_HEADER": lambda request: not request.headers.get("user-agent"),
            "UserAgent_BadBots_HEADER": lambda request: any(
                bot in request.headers.get("user-agent", "").lower() for bot in _BAD_BOTS
            ),
            "SizeRestrictions_QUERYSTRING": lambda request: len(request.query) > 2048,
            "SizeRestrictions_Cookie_HEADER": lambda request: len(request.headers.get("cookie", "")) > 10_240,
            "SizeRestrictions_BODY": lambda request: len(request.body) > 8192,
            "SizeRestrictions_URIPATH": lambda request: len(request.path) > 1024,
            "EC2MetaDataSSRF_BODY": lambda request: _METADATA in _body(request),
            "EC2MetaDataSSRF_QUERYARGUMENTS": lambda request: _METADATA in unquote(request.query),
            "GenericLFI_QUERYARGUMENTS": lambda request: bool(_TRAVERSAL.search(unquote(request.query))),
            "GenericLFI_URIPATH": lambda request: bool(_TRAVERSAL.search(unquote(request.path))),
            "GenericLFI_BODY": lambda request: bool(_TRAVERSAL.search(_body(request))),
            "RestrictedExtensions_URIPATH": lambda request: unquote(request.path).endswith(_RESTRICTED),
        },
    ),
    "AWSManagedRulesKnownBadInputsRuleSet": Group(
        200,
        {
            "Host_localhost_HEADER": lambda request: (
                request.headers.get("host", "").partition(":")[0] == "localhost"
            ),
            "PROPFIND_METHOD": lambda request: request.method == "PROPFIND",
            "ExploitablePaths_URIPATH": lambda request: any(
                path in unquote(request.path).lower() for path in _EXPLOITABLE
            ),
            "Log4JRCE": lambda request: any(_LOG4J.search(text) for text in _text(request)),
        },
    ),
    "AWSManagedRulesSQLiRuleSet": Group(200, {}),
    "AWSManagedRulesAmazonIpReputationList": Group(25, {}),
    "AWSManagedRulesAnonymousIpList": Group(50, {}),
}
