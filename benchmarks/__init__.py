"""Benchmarks of opty: ``python -m benchmarks.quality``.

quality.py   object errors on the common benchmark scans, fits of the real data
results/     what was measured, by date
"""
