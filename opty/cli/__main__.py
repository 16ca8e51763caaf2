"""``python -m opty.cli`` is ``opty``."""

from opty.cli import main

main(prog_name="opty")
