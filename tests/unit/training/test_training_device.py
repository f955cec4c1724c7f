"""Devices that exist, and state that is set back."""

import pytest
import torch

from gradspec.errors import ConfigError
from gradspec.training.device import choose_device, place_inputs, reproducible

CPU = torch.device("cpu")


def test_auto_takes_cuda_only_where_it_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


@pytest.mark.parametrize(("name", "n_devices"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_device_that_is_not_there_is_an_error_of_the_config(monkeypatch, name, n_devices):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_devices)
    with pytest.raises(ConfigError, match=f"training.device is '{name}', but .* finds {n_devices} CUDA"):
        choose_device(name)


def test_a_device_that_is_there_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")


def test_reproducible_seeds_the_block_and_leaves_no_trace():
    before = torch.get_rng_state()
    with reproducible(3, CPU):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.mha.get_fastpath_enabled()
        first = torch.rand(4)
    with pytest.raises(ZeroDivisionError), reproducible(3, CPU):
        assert torch.equal(torch.rand(4), first)
        raise ZeroDivisionError
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.equal(torch.get_rng_state(), before)


def test_what_cannot_be_repeated_is_refused_unless_the_config_allows_it():
    def unordered():
        return torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))

    with pytest.raises(ConfigError, match=r"on cpu \(put_.*set training\.deterministic to false"), reproducible(3, CPU):
        unordered()
    with reproducible(3, CPU, deterministic=False):
        assert not torch.are_deterministic_algorithms_enabled()
        assert unordered()[0] == 1
    with pytest.raises(RuntimeError, match="another"), reproducible(3, CPU):
        raise RuntimeError("another")


def test_a_cohort_that_would_fill_the_device_stays_on_the_cpu(monkeypatch, caplog):
    inputs = torch.zeros(10, 10)
    assert place_inputs(inputs, torch.device("cpu")) is inputs
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (799, 10_000))  # 400 bytes are more than half
    assert place_inputs(inputs, torch.device("cuda")) is inputs
    assert "stays on the CPU" in caplog.text
