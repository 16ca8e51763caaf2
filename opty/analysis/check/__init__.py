"""Is a scan fit for a reconstruction? What ``opty check`` looks at before one.

Without running anything:
    quick.py             all of these at once; reconstruct does it always
    findings.py          what is found: problems, warnings, remedies; the rules
    frame_statistics.py  one look at every frame: bad pixels, bad frames
    number_law.py        do the frames hold counts, or roots, squares, logarithms of them?
    raster.py            is a scan a perfect raster, whose period may show in the object?
    scan_rotation.py     how a scan on a grid is turned against the detector, by centres of mass and their curl
    rotation_fit.py      the same by the frames that a known probe makes of a weak object

By short reconstructions, scored on views or pixels that they have not seen:
    decision.py          do frames, positions and detector fit together?
    trials.py            how a guess is scored; two_runs.py: recipes and models compared
    lacking.py           what a model lacks whose fit stays above the noise
    orders.py            in which order of the frames are views predicted? likeness.py: orders that are worth a run
    scan_stretch.py      do positions and patterns have one scale, and the same axes?
    refined_stretch.py   the same where positions are wrong one by one as well
    view_places.py       would views rather be elsewhere, one by one? With the map above, what reconstruct does always
    brightness.py        does the light vary from view to view by more than the object explains?
    pedestal.py          do all pixels hold a constant beside the light?
    near_orders.py       are the frames of a near field shifted against their positions?
    near_field.py        is a scan that is taken as far field a near field?
    probe_change.py      does the probe change during the scan?

health.py puts all of it together; health_text.py says it.
"""
