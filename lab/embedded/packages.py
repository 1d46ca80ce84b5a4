"""What a function finds on Lambda without bringing it."""

import importlib.util
from pathlib import Path

# The runtime brings boto3 and what it needs: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html
_RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")


def link_runtime_packages(directory: Path) -> Path:
    """A directory in which there is nothing to import but the packages of Lambda's runtime."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in _RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise RuntimeError(f"{name} is not installed; run `make setup`")
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        link = directory / source.name
        if not link.exists():
            link.symlink_to(source)
    return directory
