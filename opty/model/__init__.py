"""Physics as a value: object, probe and positions become waves at the detector, and back.

element.py      Element: a piece of physics with a forward map, its derivative and its adjoint
compose.py      Model: elements joined by ``*``; text and JSON
probe.py        the illumination; fly_scan.py: of a stage that moves during the exposure
sample.py       a thin object, one or a mixture; slices.py: several slices; propagation.py: to the detector
free_space.py   the phase of free space, of slices and near fields
complete.py     the elements that the user left out; scan.py, starting_probe.py: first values of the leaves
moved_beam.py   the beam moved to where the views lie
wavelengths.py  a beam of several wavelengths
detection.py    what the detector does to intensities
views.py        ModelViews: some views in a pass through a model: forward, derivative, adjoint
unknown_element.py   UnknownElement: stands for an element of a file whose class is missing
geometry_numbers.py  lengths of the geometry that are found along
sums.py         sums over incoherent states
host_views.py   HostViews: the same without a state, for simulation and tests

An exit wave is made in ``Object.forward``: the moved probe (``ModelViews.as_seen``) times the object's windows.
"""

from opty.model.compose import Model, from_json, parse
from opty.model.detection import Bin, Blur, Detection, Saturation
from opty.model.element import Element
from opty.model.fly_scan import FlyScan
from opty.model.probe import Probe
from opty.model.propagation import ConeBeam, FarField, NearField
from opty.model.sample import Object
from opty.model.slices import Slices
from opty.model.wavelengths import Wavelengths

__all__ = [
    "Bin",
    "Blur",
    "ConeBeam",
    "Detection",
    "Element",
    "FarField",
    "FlyScan",
    "Model",
    "NearField",
    "Object",
    "Probe",
    "Saturation",
    "Slices",
    "Wavelengths",
    "from_json",
    "parse",
]
