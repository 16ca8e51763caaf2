"""Whether a person reads the output, at a prompt or in a notebook, or no one does, as in a script."""

from __future__ import annotations

import sys
from typing import Any


def in_notebook() -> bool:
    """Say whether the code runs in a Jupyter kernel, which shows pictures."""
    shell = _ipython()
    return shell is not None and shell.has_trait("kernel")


def interactive() -> bool:
    """Say whether a person sits at a prompt: IPython of any kind, Python's own, or a script run by ``python -i``."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive or sys.flags.inspect) or _ipython() is not None


def _ipython() -> Any:
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()
