"""Benchmarks of opty: ``python -m benchmarks.engines``.

engines.py    engine x scan x (iterations, object error, misfit, seconds), on the common benchmark and the real data
positions.py  the study of position refinement; position_pictures.py draws it
kill.py       a checkpointing run killed again and again: is anything lost?
interop.py    other packages: who reads whose files; what runs in their environments is in peers/
streaming.py  data larger than memory: what is resident, and what reading costs
record.py     rows into the result file of the day
results/      what was measured, by date
"""
