"""The loss that networks are trained on, and its gradient where samples are fitted well."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from gradspec.training.tasks import cross_entropies


@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_is_the_cross_entropy(n_classes: int) -> None:
    torch.manual_seed(0)
    logits, groups = torch.randn(64, n_classes, dtype=torch.float64), torch.arange(64) % n_classes
    expected = cross_entropy(logits, groups, reduction="none")
    torch.testing.assert_close(cross_entropies(logits, groups), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("margin", [0.0, 5.0, 12.0, 16.0, 25.0, 60.0])
def test_its_gradient_has_all_digits_and_rank_one_however_well_a_sample_is_fitted(margin: float) -> None:
    logits = torch.tensor([[margin, 0.0], [0.3, margin]], requires_grad=True)
    groups = torch.tensor([0, 1])
    (gradient,) = torch.autograd.grad(cross_entropies(logits, groups).sum(), logits)
    difference = (logits.double() * torch.tensor([[1, -1], [-1, 1]])).sum(1)
    expected = torch.sigmoid(-difference)[:, None] * torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-5, atol=0)
    assert torch.equal(gradient[:, 0], -gradient[:, 1])


def test_logits_of_low_precision_give_losses_of_single_precision() -> None:
    losses = cross_entropies(torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16), torch.tensor([1]))
    assert losses.dtype == torch.float32
