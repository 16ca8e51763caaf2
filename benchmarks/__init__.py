"""Benchmarks of opty: ``python -m benchmarks.engines``.

engines.py   engine x scan x (iterations, object error, misfit, seconds), on the common benchmark and the real data
kill.py      a checkpointing run killed again and again: is anything lost?
interop.py   other packages: who reads whose files
results/     what was measured, by date
"""
