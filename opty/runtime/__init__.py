"""From a recipe and a state to the next state: plan, memory, execution, and the end of a run.

plan.py             expand, lift, join, open, fuse: from a recipe to nodes (nodes.py); ``unfused``
effects.py          what a step reads and writes, checked before anything runs
program.py          all that follows from plan and layout of the state, compiled once; sweep_programs.py: of one sweep
explain.py          the plan as text
execute.py          executes the plan on a fork of the state; job.py: the data of one run
sweep_loop.py       one sweep over all views, batch by batch
shared_object.py    the part of the object that windows of several ranks light, and what is of one rank alone
batching.py         the views of each batch, and their order
batch_size.py       the number of views in a batch that fits in memory
memory_estimate.py  the memory of a run
fused_step.py       a step that replaces several
graph_replay.py     sweeps that repeat on a GPU, replayed as CUDA graphs
visits.py           the last iterations at scheduled steps
checkpoint.py       the place of a run, so that another process can resume it
divergence.py       values that are not finite, positions outside the frame; misfit_monitor.py: misfits that rise
idle_steps.py       steps of a recipe that do nothing where they stand
scale.py            the scale between object and probe, brought back by powers of two
interrupt.py        Ctrl-C; rescue.py: the last complete state, on exceptions that end a run
blame.py            where an exception happened, and which leaf a step wrote into that it only reads
recipe_edit.py      steps inserted into a recipe, or removed: progress bars, checkpoints, outputs
"""
