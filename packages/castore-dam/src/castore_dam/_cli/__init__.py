"""Replay, migrate, archive and check event stores."""

from typing import Final

from cyclopts import App

from castore_dam._cli._archive import export, import_, verify_archive
from castore_dam._cli._check import check
from castore_dam._cli._migrate import migrate, verify
from castore_dam._cli._pour import pour
from castore_dam._cli._schema import schema

app: Final = App(name="dam", help=__doc__)

for _command in (pour, migrate, verify, export, import_, verify_archive, check, schema):
    app.command(_command)
