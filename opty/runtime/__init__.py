"""From a recipe and a state to the next state: plan, memory, the walk over the plan, what ends it.

plan.py             expand, lift, join, open, fuse: from a recipe to nodes (nodes.py); ``unfused``
effects.py          what a step reads and writes, checked before anything runs
program.py          all that follows from plan and layout of the state, compiled once; sweep_programs.py: of one sweep
explain.py          the plan in words
execute.py          walks the plan on a fork of the state; job.py: what belongs to one run
sweep_loop.py       one sweep over all views, batch by batch
batching.py         which views a sweep takes together, and in which order
batch_size.py       how many views make a batch, and whether there is memory for them
memory_estimate.py  what a run takes
fused_step.py       a step that takes the place of several
graph_replay.py     sweeps that repeat on a GPU, replayed as CUDA graphs
visits.py           when the run last stood at a scheduled step
checkpoint.py       where a run stands, so that another process can go on from there
divergence.py       values that are not finite, positions outside the frame; misfit_monitor.py: misfits that rise
scale.py            the scale between object and probe, brought back by powers of two
interrupt.py        Ctrl-C; rescue.py: the last whole state, on whatever ends a run
blame.py            where an exception happened, and which leaf a step wrote into that it only reads
recipe_edit.py      steps put into a recipe, or taken out: progress bars, checkpoints, outputs
"""
