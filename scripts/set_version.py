"""Give every package of the workspace one version: `uv run scripts/set_version.py 1.2.3`."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


def set_version(text: str, version: str) -> str:
    """Return a pyproject's text with `version` as its own and as the pin of its siblings."""
    text = re.sub(r'^version = ".*"$', f'version = "{version}"', text, count=1, flags=re.MULTILINE)
    return re.sub(r'"(castore-[^"=]+)==[^"]+"', rf'"\g<1>=={version}"', text)


def lock() -> None:
    """Refresh uv.lock, without an index of the environment, which uv would write into it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    subprocess.run(["uv", "lock"], cwd=ROOT, env=environment, check=True)


def main(arguments: list[str]) -> None:
    """Rewrite all files, or exit with a message where `arguments` is not one version."""
    match arguments:
        case [version] if VERSION.fullmatch(version):
            for path in [ROOT / "pyproject.toml", *ROOT.glob("packages/*/pyproject.toml")]:
                path.write_text(set_version(path.read_text(), version))
            lock()
        case _:
            sys.exit("usage: set_version.py X.Y.Z, with an optional aN, bN or rcN at the end")


if __name__ == "__main__":
    main(sys.argv[1:])
