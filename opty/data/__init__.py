"""What was measured: patterns, positions, mask, geometry.

measurement.py   PtychoData
fields.py        checks of all fields but the counts
counts.py        checks of counts: what cannot be one is refused with its place
inverted_mask.py does a mask mark the bad pixels, where it has to mark those that count?
scan_grid.py     positions of a scan on a grid from its step and rotation, and back
lazy_frames.py   Stack: frames that stay in their file; AbsentFrames: frames that are not here
parts.py         some views of a measurement; all of them at a lower resolution
join.py          several scans of one object as one measurement
feed.py          a scan that is still measured: its views as they arrive
prefetch.py      reading the next block while the last one is used
"""

from opty.data.join import join
from opty.data.measurement import FIELDS, PtychoData, absent_measurement

__all__ = ["FIELDS", "PtychoData", "absent_measurement", "join"]
