"""The algebra: recipes as values, and what becomes of ``recipe * p``.

operator.py   Operator, ViewOperator, Recipe, Identity; ``*`` and ``**``; the registry of names
compose.py    Compose and Repeat, flat and normalised
control.py    Every, After, Until
sweep.py      Sweep, the one loop over views
batching.py   which views a sweep takes together, and in which order
effects.py    what a step reads and writes, checked before anything runs
plan.py       expand, lift, join, open, fuse: from a recipe to nodes; ``unfused``
explain.py    the plan in words; footprint.py: and in bytes
run.py        walks the plan on a fork of the state; Ctrl-C
place.py      where a walk stands, so that another process can go on from there
onepass.py    one pass over all views, batch by batch
room.py       how many views make a batch, and whether there is room for them
fusedstep.py  a step that takes the place of several
scale.py      the scale between object and probe, brought back where it runs away
watch.py      divergence and a rising misfit
serial.py     repr, ``parse``, JSON
"""
