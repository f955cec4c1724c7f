"""Small helpers of the workflows: the nodes through which results enter and leave."""

from collections.abc import Sequence

from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node, Workflow


def init_workflow(name: str, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[Workflow, Node, Node]:
    """Make a workflow that holds only an ``inputnode`` and an ``outputnode``.

    Parameters
    ----------
    name : str
        Name of the workflow.
    inputs, outputs : sequence of str
        Fields of the two nodes; an input that nobody connects is left out of the step that takes it.

    Returns
    -------
    workflow : Workflow
    inputnode, outputnode : Node
    """
    workflow = Workflow(name=name)
    inputnode = Node(IdentityInterface(fields=list(inputs)), name="inputnode")
    outputnode = Node(IdentityInterface(fields=list(outputs)), name="outputnode")
    workflow.add_nodes([inputnode, outputnode])
    return workflow, inputnode, outputnode
