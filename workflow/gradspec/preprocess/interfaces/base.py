"""What the interfaces of this stage share: a step that remembers why it gave up, and inputs and outputs."""

from pathlib import Path
from typing import Any, ClassVar

from nipype.interfaces.base import BaseInterfaceInputSpec, File, SimpleInterface, TraitedSpec

from gradspec.errors import ParticipantError


class Step(SimpleInterface):
    """An interface that remembers why it gave up: nipype turns exceptions into text."""

    refused: ClassVar[list[ParticipantError]] = []

    def _run_interface(self, runtime: Any) -> Any:
        try:
            self._results.update(self.compute(Path(runtime.cwd)))
        except ParticipantError as error:
            Step.refused.append(error)
            raise
        return runtime

    def compute(self, folder: Path) -> dict[str, Any]:
        """Do the work of the step in `folder` and return its outputs."""
        raise NotImplementedError


class InFile(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="image")


class OneFile(TraitedSpec):
    """Outputs of a step that makes one file."""

    out_file = File(exists=True, desc="result")


class OneMask(TraitedSpec):
    out_mask = File(exists=True, desc="brain mask")
