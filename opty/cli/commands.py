"""The group of all commands."""

from __future__ import annotations

import click

from opty.cli.failures import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="opty-ptycho", prog_name="opty")
def main() -> None:
    """Ptychography as operator algebra: p = rPIE()**30 * p.

    \b
    Example: opty demo
    """
