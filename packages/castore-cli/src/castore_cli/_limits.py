"""Numbers on the command line."""

from typing import Annotated, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number

Limit: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
"""A number of 1 or more."""
