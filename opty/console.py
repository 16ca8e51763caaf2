"""Whether the session is interactive (a prompt or a notebook) or a script."""

from __future__ import annotations

import sys
from typing import Any


def in_notebook() -> bool:
    """Return whether the code runs in a Jupyter kernel, which shows pictures."""
    shell = _ipython()
    return shell is not None and shell.has_trait("kernel")


def interactive() -> bool:
    """Return whether there is a prompt: IPython of any kind, Python's own, or a script run by ``python -i``."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive or sys.flags.inspect) or _ipython() is not None


def _ipython() -> Any:
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()
