"""From object, probe and positions to the counts that they predict.

misfit.py   sums over all views of what separates prediction and measurement
"""
