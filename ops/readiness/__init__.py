"""Whether a failover would succeed now: what is asked, how it is judged, and how that is shown."""

from ops.readiness.questions import seen
from ops.readiness.report import document, named, report, standby, text

__all__ = ["document", "named", "report", "seen", "standby", "text"]
