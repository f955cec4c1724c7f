"""The checks of `make test-gpu` as tests, where there is a CUDA device."""

import pytest
import torch
from gpu.checks import CHECKS
from running import ROOT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


@pytest.mark.parametrize("name", CHECKS)
def test_the_device_does_what_the_processor_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)  # for the benchmarks
    CHECKS[name](torch.device("cuda"))
