"""Benchmarks of opty: ``python -m benchmarks.engines``.

engines.py    engine x scan x (iterations, object error, misfit, seconds), on the common benchmark and the real data
kill.py       a checkpointing run killed again and again: is anything lost?
interop.py    other packages: who reads whose files
streaming.py  data larger than memory: what is resident, and what reading costs
results/      what was measured, by date
"""
