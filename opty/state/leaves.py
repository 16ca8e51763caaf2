"""The names of what a state holds, and of what a batch holds inside a sweep; any other word is a slot."""

from __future__ import annotations

LEAVES = frozenset({"obj", "probe", "positions", "background", "intensity_factors"})
BATCH = frozenset({"index", "illum", "patches", "waves", "delta", "predicted"})
KEPT = "kept_waves"
LIVE = frozenset({"obj", "probe"})
