"""The state: the estimates of a reconstruction and their record.

bare_state.py    BareState: made, restored, replaced, moved, donated; ``opty.PtychoState`` runs recipes
attributes.py    its attributes: read-only arrays, history, recipe
leaves.py        the declarations of what every state and every batch hold
store.py         the mutable contents of a state
start.py         the object's frame and the first guesses of object and probe
device_data.py   the data on the device, in the order of the waves
streaming.py     data larger than the memory: batch by batch, prefetched along a sweep
growth.py        a scan that has got more views
replace.py       leaves replaced by the user
onto.py          other data of the same sample, begun with object and probe of a state
move.py          to another device
over_ranks.py    p.over(comm), p.gather(): a state over several ranks (MPI); spread.py: how
loans.py         read-only arrays for the user
access.py        the access of one operator to a state or batch
views.py         some views in a sweep
history.py       the recorded series
"""

from opty.state.bare_state import BareState, handle

__all__ = ["BareState", "handle"]
