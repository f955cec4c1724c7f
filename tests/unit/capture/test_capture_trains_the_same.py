"""Training with the recorder is training without it: bitwise where the report says so, else within rounding."""

import pytest
import torch
import torch.nn.functional as F
from capture_cases import CASES, GROUPS, Case
from torch import Tensor

from gradspec.capture import SpectraRecorder

STEPS = 5

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]


def train(case: Case, recorded: bool) -> tuple[dict[str, Tensor], bool]:
    """Parameters after some steps, and whether the report promises them to be bitwise those of the bare model."""
    model, x, y = case.make(torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    recorder = SpectraRecorder(model, ["control", "patient"], extras=case.extras)
    for _ in range(STEPS):
        optimizer.zero_grad()
        if recorded:
            with recorder.step(torch.tensor(GROUPS["rest"])):
                F.cross_entropy(model(x), y).backward()
        else:
            F.cross_entropy(model(x), y).backward()
        optimizer.step()
    rows = [row for row in recorder.report() if row.status == "captured"]
    promised = all(
        row.note.startswith("bitwise equal") and ("on the sample side" not in row.note or row.route == "sample side")
        for row in rows
        if row.kinds
    )
    return {name: parameter.detach() for name, parameter in model.named_parameters()}, recorded and promised


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_parameters_after_training_are_those_of_the_bare_model(case: Case) -> None:
    expected, _ = train(case, recorded=False)
    actual, is_bitwise = train(case, recorded=True)
    for name, parameter in expected.items():
        if is_bitwise:
            assert torch.equal(actual[name], parameter), name
        else:
            torch.testing.assert_close(actual[name], parameter, rtol=1e-4, atol=1e-6, msg=name)
