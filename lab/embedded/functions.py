"""Where a function's code runs: Lambda's environment and nothing of the host's, not even its packages.

MiniStack starts a function on the host's interpreter, with the host's variables and everything installed
beside MiniStack: a requirement missing in a package would go unnoticed, and every region would share one
endpoint. Here each process gets its own region's proxy, and of all packages only those of Lambda's runtime.
"""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import psutil
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from lab.described import Described
from lab.embedded import outage
from lab.embedded.handlers import Handler, Handlers, Properties
from lab.embedded.packages import link_runtime_packages
from lab.network import Placement, reach_of_aws
from lab.plan import PLAN_VARIABLE, LabPlan, read_plan

_FROM_LAMBDA = (
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
_FROM_LAMBDA_PREFIXES = ("AWS_LAMBDA_", "_LAMBDA_", "LAMBDA_")
# No site-packages (-S, -s), and not the directory of MiniStack's start script (-P): the rest is PYTHONPATH.
_ISOLATED = ("-S", "-s", "-P")

_INTERVAL = "_INTERVAL_SECONDS"
_FUNCTION = "AWS::Lambda::Function"

Config = Mapping[str, Any]
_starting: ContextVar[Config] = ContextVar("configuration of the function being started")


def register(handlers: Handlers) -> None:
    handlers[_FUNCTION] = keeping_network(handlers[_FUNCTION])
    plan = read_plan(Path(os.environ[PLAN_VARIABLE]))
    packages = link_runtime_packages(Path(os.environ["TMPDIR"]) / "runtime")
    install(plan, packages)
    lambda_runtime.zipfile = _Zipfile(Path(os.environ["TMPDIR"]) / "code")


def keeping_network(handler: Handler) -> Handler:
    """MiniStack's handler drops these properties of a template although its API keeps them."""

    def keep(name: str, properties: Properties) -> None:
        config = lambda_svc._functions[name]["config"]
        before = config.get("VpcConfig")
        config["VpcConfig"] = lambda_svc._vpc_config_with_id(properties.get("VpcConfig"))
        config["KMSKeyArn"] = properties.get("KmsKeyArn", "")
        if before != config["VpcConfig"]:
            lambda_runtime.invalidate_worker(name, qualifier="$LATEST")  # it would stay in the old network

    def create(logical_id: str, properties: Properties, *rest: Any) -> Any:
        created = handler["create"](logical_id, properties, *rest)
        keep(created[0], properties)
        return created

    def update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        updated = handler["update"](physical_id, old, new, *rest)
        keep(updated[0], new)
        return updated

    return {**handler, "create": create, "update": update}


def install(plan: LabPlan, packages: Path) -> None:
    inherited = lambda_runtime.Worker._spawn

    def spawn(worker: Any) -> None:
        kept, worker.config = worker.config, with_intervals(worker.config, plan.time_scale)
        token = _starting.set(worker.config)
        try:
            inherited(worker)
        finally:
            _starting.reset(token)
            worker.config = kept

    lambda_runtime.Worker._spawn = spawn
    lambda_runtime.Worker.invoke = _alone(lambda_runtime.Worker.invoke)
    lambda_runtime.subprocess = _Subprocess(plan, packages)


def with_intervals(config: Config, scale: float) -> Config:
    """What a function does every so often, it does as often as AWS's own timers run here: by the variables
    that are named so. The function's configuration stays what was deployed.
    """
    if scale == 1:
        return config
    given = config.get("Environment") or {}
    own: Mapping[str, str] = given.get("Variables") or {}
    scaled = {name: f"{float(own[name]) * scale:g}" for name in own if name.endswith(_INTERVAL)}
    return {**config, "Environment": {**given, "Variables": {**own, **scaled}}}


def _alone(inherited: Callable[..., Any]) -> Callable[..., Any]:
    """An environment that does not come up fails its invocation; MiniStack ends all the function has."""

    def invoke(worker: Any, *rest: Any, **more: Any) -> Any:
        try:
            return inherited(worker, *rest, **more)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is what the invocation failed by
            process, worker._proc = worker._proc, None
            lambda_runtime._signal(process)
            return {"status": "error", "error": str(error), "log": worker._drain_stderr()}

    return invoke


class _Zipfile:
    """What `lambda_runtime` sees as the module `zipfile`: every process of a function has the same files.

    On Lambda they are read-only as well. Here what Python compiled for one process is there for the next.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __getattr__(self, name: str) -> Any:
        return getattr(zipfile, name)

    def ZipFile(self, file: str) -> Any:  # noqa: N802 - stands for the class of that name
        return _SharedZip(file, self._directory)


class _SharedZip(zipfile.ZipFile):
    def __init__(self, file: str, directory: Path) -> None:
        super().__init__(file)
        self._target = directory / hashlib.sha256(Path(file).read_bytes()).hexdigest()

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        """Once; then a link stands where the files were wanted."""
        if not self._target.exists():
            self._target.parent.mkdir(parents=True, exist_ok=True)
            scratch = tempfile.mkdtemp(dir=self._target.parent)
            super().extractall(scratch, members, pwd)
            with suppress(OSError):  # another process of the function was quicker
                Path(scratch).rename(self._target)
        wanted = Path(path)
        wanted.rmdir()
        wanted.symlink_to(self._target)


class _Subprocess:
    """What `lambda_runtime` sees as the module `subprocess`: the same, but for how a function is started."""

    def __init__(self, plan: LabPlan, packages: Path) -> None:
        self._plan = plan
        self._packages = packages
        self._described = Described(plan)

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, command: list[str], **options: Any) -> Any:  # noqa: N802 - stands for the class of that name
        config = _starting.get(None)
        if config is None or not str(config.get("Runtime", "")).startswith("python"):
            return subprocess.Popen(command, **options)
        given = environment(config, options["env"], self._plan, self._packages)
        options["env"] = {**given, **self._ways_to_aws(config, given["AWS_REGION"])}
        if outage.is_down(given["AWS_REGION"]):
            raise OSError(f"{given['AWS_REGION']} is down")
        process = subprocess.Popen([command[0], *_ISOLATED, *command[1:]], **options)
        record_function(self._plan, process.pid, config)
        if outage.is_down(given["AWS_REGION"]):
            process.kill()  # whoever killed the others had not seen this one
        elif given["AWS_REGION"] in outage.now().frozen:
            process.send_signal(signal.SIGSTOP)
        return process

    def _ways_to_aws(self, config: Config, region: str) -> dict[str, str]:
        """Decided when a process starts: what its network does not reach is a port where nobody listens."""
        where, origin = self._plan.regions[region], placement(config)
        if not origin.subnets:
            return {}
        reach = reach_of_aws(self._described.network(region), origin)
        if reach.everything:
            return {}
        by_endpoint = {f"AWS_ENDPOINT_URL_{name.upper()}": where.proxy_url for name in reach.services}
        return {"AWS_ENDPOINT_URL": where.closed_url, "HTTPS_PROXY": where.closed_url, **by_endpoint}


def placement(config: Config) -> Placement:
    vpc = config.get("VpcConfig") or {}
    return Placement(tuple(vpc.get("SubnetIds", ())), tuple(vpc.get("SecurityGroupIds", ())))


def environment(config: Config, offered: Mapping[str, str], plan: LabPlan, packages: Path) -> dict[str, str]:
    """What Lambda documents, what the function was given, and where the lab's region and its CA are.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    region = plan.regions[offered["AWS_REGION"]]
    own: dict[str, str] = config.get("Environment", {}).get("Variables", {})
    given = {
        name: value
        for name, value in offered.items()
        if name in _FROM_LAMBDA or name.startswith(_FROM_LAMBDA_PREFIXES)
    }
    return {
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{config['FunctionName']}",
        "AWS_ENDPOINT_URL": region.proxy_url,
        "HTTPS_PROXY": region.proxy_url,
        "SSL_CERT_FILE": str(plan.ca_file),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PGSSLROOTCERT": str(plan.ca_file),
        lambda_runtime.HOST_PREFIX_ENV: "true",
        **own,
        **given,
        "PYTHONPATH": str(packages),
    }


def record_function(plan: LabPlan, pid: int, config: Config) -> None:
    """Who a process is, for whoever decides what its network lets it reach; written before its code runs."""
    if not plan.runtime_directory.exists():
        return  # the embedded AWS runs alone: there is no endpoint that could ask
    directory = plan.functions_directory
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    where = placement(config)
    described = {
        "function": config["FunctionArn"],
        "started": psutil.Process(pid).create_time(),
        "subnets": where.subnets,
        "security_groups": where.security_groups,
    }
    scratch = directory / f"{pid}.tmp"
    scratch.write_text(json.dumps(described))
    scratch.replace(scratch.with_suffix(".json"))
