"""The algebra: recipes as values, and what becomes of ``recipe * p``.

operator.py    Operator, ViewOperator, Recipe, Identity; ``*`` and ``**``; the registry of names
               (operator_class.py: their metaclass; parameters.py: types and values of their parameters)
compose.py     Compose and Repeat, flat and normalised
control.py     Every, After, Until; when a scheduled step was last visited
sweep.py       Sweep, the one loop over views
serial.py      repr, ``parse``, JSON (syntax.py: Python's syntax in words)
keep.py        recipes out of result files; unknown.py: what stands for an operator that is not here

batching.py    which views a sweep takes together, and in which order
effects.py     what a step reads and writes, checked before anything runs
plan.py        expand, lift, join, open, fuse: from a recipe to nodes; ``unfused``
explain.py     the plan in words; footprint.py: and in bytes
run.py         walks the plan on a fork of the state
interrupt.py   Ctrl-C; rescue.py: the last whole state, on whatever ends a run
absent.py      refuses to run without the frames; blame.py: which leaf a step wrote into that it only reads
place.py       where a walk stands, so that another process can go on from there
onepass.py     one pass over all views, batch by batch; fusedstep.py: a step that takes the place of several
room.py        how many views make a batch, and whether there is memory for them
scale.py       the scale between object and probe, brought back by powers of two
watch.py       divergence; rising.py: misfits that rise
"""
