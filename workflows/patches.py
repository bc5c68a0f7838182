"""The patches of the workflows' loops: what the code asks about how an open run was begun, and in which state each is.

A change of what a loop commands gets a patch, asked once at the start of ``run``, so that every open run is either
marked, all of it, or not, and none changes over in the middle. The state here is what the code does, so the two cannot
differ; ``wend patches`` says from the open runs which state may come next. docs/upgrading.md has the whole story.
"""

from dataclasses import dataclass
from typing import Literal

from temporalio import workflow

State = Literal["patched", "deprecated", "removed"]


@dataclass(frozen=True)
class Patch:
    """One change of a loop that open runs have to be told apart by.

    Attributes:
        id: Stands in histories, and is never used a second time.
        workflow: The workflow type whose loop has it.
        since: The release that brought it.
        what: What marked runs do otherwise, in a few words.
        state: ``patched``: both ways are in the code. ``deprecated``: the old way is gone. ``removed``: nothing of it
            is left but this line, so that nobody takes the id again.
    """

    id: str
    workflow: str
    since: str
    what: str
    state: State = "patched"


PATCHES: tuple[Patch, ...] = ()
"""All that there ever were, the oldest first."""


def takes(patch: Patch) -> bool:
    """Return whether this run goes the new way; to be asked once, at the start of ``run``.

    Raises:
        ValueError: The patch is removed, and no code may ask for it any more.
    """
    match patch.state:
        case "patched":
            return workflow.patched(patch.id)
        case "deprecated":
            workflow.deprecate_patch(patch.id)
            return True
        case "removed":
            raise ValueError(f"patch {patch.id!r} is removed: take out the code that asks for it")


def workflow_type(loop: type) -> str:
    """Return the name under which Temporal knows a workflow's class."""
    name = workflow._Definition.must_from_class(loop).name
    assert name is not None, "every workflow of ours has a name of its own"
    return name
