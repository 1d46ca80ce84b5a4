"""The package of a function of one file."""

import io
import zipfile


def zipped(source: str) -> bytes:
    """With `source` as `index.py`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        package.writestr("index.py", source)
    return buffer.getvalue()
