"""Fixtures of the backend tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from standin_plugin import standin_gpu

__all__ = ["standin_gpu"]
