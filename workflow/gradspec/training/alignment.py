"""Alignment of the groups beside their spectra, in one tree."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


def add_alignment(spectra: "xr.DataTree", alignment: "xr.DataTree") -> "xr.DataTree":
    """Add the alignments of kept steps to the spectra of all recorded ones.

    Parameters
    ----------
    spectra : DataTree
        As `gradspec.SpectraRecorder.spectra` gives it.
    alignment : DataTree
        As `gradspec.SpectraRecorder.alignment` gives it, of some of these steps.

    Returns
    -------
    DataTree
        The spectra, with a variable (step, group) a measure in each node; NaN in the other steps.
    """
    import xarray as xr

    steps = spectra["step"].values
    nodes = {}
    for node in spectra.subtree:
        own = node.to_dataset(inherit=False)
        if node.path != "/" and "gradient" in own:
            measures = alignment[node.path].to_dataset(inherit=True).reindex(step=steps)
            own = own.assign({name: variable.variable for name, variable in measures.items() if variable.ndim == 2})
        nodes[node.path] = own
    return xr.DataTree.from_dict(nodes)
