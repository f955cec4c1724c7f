"""What a model was made of when the recorder came, so that a change is noticed."""

from itertools import chain
from typing import Any

from torch import nn

from gradspec.capture.errors import CaptureError


class Snapshot:
    """The modules and parameters of a model."""

    def __init__(self, model: nn.Module) -> None:
        self._modules = dict(model.named_modules())
        self._dicts: list[dict[str, Any]] = [
            each for module in self._modules.values() for each in (module._modules, module._parameters)
        ]
        self._parameters = list(model.parameters())
        self._identities = self._identify()
        self._frozen = {name: each for name, each in model.named_parameters() if not each.requires_grad}

    def check(self) -> None:
        """Raise `CaptureError` where a module or parameter has been added, replaced or removed."""
        if self._identify() != self._identities:
            raise CaptureError(
                "the model was changed after the recorder was attached (modules or parameters added, replaced or "
                "removed); detach the recorder and make a new one"
            )

    def freed(self) -> list[str]:
        """Parameters that were frozen and are trained now, each told once."""
        names = [name for name, parameter in self._frozen.items() if parameter.requires_grad]
        for name in names:
            del self._frozen[name]
        return names

    @property
    def is_on_accelerator(self) -> bool:
        """Whether some parameter is not on the CPU."""
        return any(parameter.device.type != "cpu" for parameter in self._parameters)

    def _identify(self) -> list[int]:
        return [*map(len, self._dicts), *map(id, chain.from_iterable(map(dict.values, self._dicts)))]
