"""Judges the rendered templates by public rule packs: `make audit`.

Whatever they find is either mended or in accepted.toml, with the reason why the rule is wrong there; an entry
that nothing matches any more has to go.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree

from generator.render import render
from templates.config import Settings, load
from tools.audit import packs
from tools.audit.documents import policy_documents
from tools.audit.findings import Finding, ListError, not_accepted, read, stale
from tools.audit.instances import Place

ROOT = Path(__file__).parents[2]
ACCEPTED = Path(__file__).with_name("accepted.toml")
TOOLS = ROOT / ".build" / "audit"
ENVIRONMENTS = (None, "lab")  # what deployment.toml says, and the environment that may be thrown away
PER_REGION = ("foundation", "data", "service")  # in the order in which one publishes what the next imports


def main() -> int:
    try:
        accepted = read(ACCEPTED)
        findings = judged()
    except (ListError, packs.PackError) as error:
        print(error, file=sys.stderr)
        return 1
    open_, over = not_accepted(findings, accepted), stale(findings, accepted)
    for finding in open_:
        print(f"{finding}; mend it, or say in {ACCEPTED.name} why the rule is wrong here", file=sys.stderr)
    for entry in over:
        print(f"{ACCEPTED.name}: nothing matches {entry.rule} at {entry.resource}", file=sys.stderr)
    print(f"{len(set(findings))} findings, {len(open_)} of them not accepted")
    print(f"{len(accepted)} accepted, {len(over)} of them stale")
    return 1 if open_ or over else 0


def judged() -> list[Finding]:
    templates, policies = TOOLS / "templates", TOOLS / "policies"
    for folder in (templates, policies):
        rmtree(folder, ignore_errors=True)
    for environment in ENVIRONMENTS:
        _write(load(ROOT / "deployment.toml", environment, {}), templates, policies)
    files = sorted(templates.rglob("*.json"))
    with ThreadPoolExecutor() as pool:
        running = [
            pool.submit(lambda: list(packs.packs_of_npm(TOOLS, files))),
            pool.submit(lambda: list(packs.checkov(TOOLS, templates))),
            pool.submit(lambda: list(packs.parliament(TOOLS, policies))),
        ]
        return [finding for one in running for finding in one.result()]


def _write(settings: Settings, templates: Path, policies: Path) -> None:
    """Every template in each of its regions, and every policy in it."""
    rendered = {name: json.loads(text) for name, text in render(settings).items()}
    places = settings.regions
    alone = sorted(rendered.keys() - {*PER_REGION, "witness"})
    for region, names in (
        (places.primary, (*PER_REGION, *alone)),
        (places.secondary, PER_REGION),
        (places.witness, ("witness",)),
    ):
        exports: dict[str, str] = {}
        for name in names:
            place = Place(rendered[name], region, exports)
            instance = place.instance()
            exports |= place.published()
            folder = Path(settings.environment, region)
            _put(templates / folder / f"{name}.json", instance)
            for number, (title, document) in enumerate(policy_documents(instance)):
                _put(policies / folder / name / f"{title}-{number}.json", place.worded(document))


def _put(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
