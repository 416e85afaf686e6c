"""Sharing partitions among processes: each takes its part, and gives up what is another's."""

import math
from collections.abc import Sequence
from typing import Any

from castore_core import BookmarkStorageAdapter
from castore_projections._leases import LeaseKeeper
from castore_projections._partition import Partition
