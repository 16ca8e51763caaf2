"""The state: what is being estimated.

ptycho_state.py   PtychoState, what users hold: read-only leaves, books, replace / to / donate / save / plot
start.py          the object's frame and the first guesses of object and probe
measured.py       the data on the device, in the order of the waves
supply.py         what is larger than the memory: batch by batch, read ahead along a sweep
replace.py        what a user puts in by hand
store.py          the mutable inside of a state
loans.py          arrays that a state hands out
access.py         a state or batch as one operator may see it
batch.py          some views on their way through a sweep
history.py        the recorded series
"""

from opty.state.ptycho_state import PtychoState

__all__ = ["PtychoState"]
