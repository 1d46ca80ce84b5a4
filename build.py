"""Builds what is deployed: reads deployment.toml, then renders, checks, packages and writes dist/."""

import gc
import os
import sys
from argparse import Namespace
from datetime import UTC, datetime

from generator.command import run

# The rest is imported where it is used: importing is most of what a build costs.


def build(options: Namespace) -> None:
    from generator.samconfig import compare
    from templates.config import load

    settings = load(options.config, options.environment, os.environ)
    compare(settings, options.out)
    for note in settings.notes(datetime.now(UTC).date()):
        print(f"note: {note}")

    from generator.render import render

    templates = render(settings)
    print(f"rendered {', '.join(templates)} for {settings.service} in {settings.environment}")

    if options.check:
        from generator.check import check

        for note in check(templates, settings):
            print(f"note: {note}")
        print("checked, nothing found")

    zips = {}
    if options.package:
        from generator.package import named, package

        zips = package(settings)
        templates = named(templates, zips)
        print(
            f"packaged {', '.join(zips)} for {settings.functions.runtime}, {settings.functions.architecture}"
        )

    from generator.output import write

    write(options.out, templates, zips, settings)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    gc.disable()  # there is no garbage to speak of in a process this short
    code = run(build, sys.argv[1:], __doc__ or "")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # as mypy does: taking the whole interpreter apart costs a tenth of a build
