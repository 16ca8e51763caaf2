"""The command line: `opty demo`, `opty info`, `opty reconstruct` and the others.

All checks that need no data come before the data are read. A failure is one line on the standard error with the
remedy, exit code 1 (2 for a misspelt option), and leaves no file behind. Ctrl-C, and the SIGTERM of a batch queue, save
the state reached, exit code 130.

commands.py   the group of all commands
auto.py       auto, recipes
batch.py      batch; batch_records.py: what is kept of each scan; batch_jobs.py: the processes; batch_summary.py: tables
              and contact sheet
demo.py       demo
runs.py       reconstruct, resume, rerun; starts.py: what a reconstruction starts from
looks.py      info, check, plot
live.py       live
worth.py      resolution, report
files.py      convert, join, export
simulate.py   simulate
options.py    options that several commands share; option_types.py: how their texts are read
ranks.py      reconstruct and resume under mpiexec or srun
run.py        one reconstruction: progress, interruption, divergence, full disks, report
checks.py     checks before any work
failures.py   errors as one line, exit codes
"""

from opty.cli import auto, batch, demo, files, live, looks, runs, simulate, worth
from opty.cli.commands import main

for command in (auto.auto, auto.recipes, batch.batch, live.live, simulate.simulate, worth.resolution, worth.report):
    main.add_command(command)

__all__ = ["auto", "batch", "demo", "files", "looks", "main", "runs"]
