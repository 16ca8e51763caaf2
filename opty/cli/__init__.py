"""The command line: `opty demo`, `opty info`, `opty reconstruct`, `opty plot`.

Whatever can be checked is checked before the data are read. A failure is one line on the standard error that says what
to do, exit code 1 (2 for a misspelt option), and leaves no file behind. Ctrl-C saves what was reached, exit code 130.

commands.py   demo, info, reconstruct, plot
run.py        one reconstruction: progress, interruption, divergence, report
checks.py     what is refused before any work
failures.py   errors as one line, exit codes
"""

from opty.cli.commands import DEMO_RECIPE, main

__all__ = ["DEMO_RECIPE", "main"]
