"""The state: what is being estimated.

bare_state.py    BareState: made, restored, replaced, moved, donated; ``opty.PtychoState`` adds what runs it
attributes.py    what it shows: read-only arrays, history, recipe
leaves.py        the declarations of what every state and every batch hold
store.py         the mutable inside of a state
start.py         the object's frame and the first guesses of object and probe
device_data.py   the data on the device, in the order of the waves
streaming.py     data larger than the memory: batch by batch, read ahead along a sweep
replace.py       what a user puts in by hand
loans.py         arrays that a state hands out
access.py        a state or batch as one operator may see it
views.py         some views in a sweep
history.py       the recorded series
"""

from opty.state.bare_state import BareState, handle

__all__ = ["BareState", "handle"]
