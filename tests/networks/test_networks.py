"""The recorder on public networks: exact, never wrong in silence, and training as without it."""

from importlib.util import find_spec

import pytest
from measuring import measure
from zoo import NETWORKS, Network

MODULES = {"torch-geometric": "torch_geometric"}

pytestmark = pytest.mark.networks


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_public_network_is_recorded_exactly_or_says_what_is_not(network: Network) -> None:
    if find_spec(MODULES.get(network.package, network.package)) is None:
        pytest.skip(f"{network.package} is not installed; see tests/networks/requirements.txt")
    measured = measure(network)
    assert measured.error < 1e-6
    assert measured.gradient_error < 1e-7
    told = " ".join(measured.warned)
    assert not measured.silent
    assert not measured.missing or "not recorded" in told or "cannot be recorded" in told
    assert measured.share >= 0.5 or measured.missing or "entries of trained weights are recorded" in told
