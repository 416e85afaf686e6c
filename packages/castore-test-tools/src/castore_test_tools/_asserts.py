"""Readable failures, also where the package is installed in editable mode.

Imported before every other module of the package: pytest rewrites the asserts of what is
registered when it is imported.
"""

from pathlib import Path

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__package__}.{each.stem}"
        for each in Path(__file__).parent.glob("*.py")
        if each.name not in {"__init__.py", "plugin.py", Path(__file__).name}
    )
)
