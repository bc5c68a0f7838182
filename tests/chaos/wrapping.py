"""Laying something around a method or a function of the product, in one process of the ring and nowhere else."""

from collections.abc import Callable
from typing import Any


def lay_around(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Replace an attribute of a class or module: ``around`` is called with the original in front.

    Raises:
        AttributeError: The product has nothing of that name: the ring has to follow it.
    """
    original = getattr(owner, name)

    def replaced(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    setattr(owner, name, replaced)


def put_in_place(owner: Any, name: str, value: Any) -> None:
    """Replace a constant.

    Raises:
        AttributeError: The product has nothing of that name.
    """
    getattr(owner, name)
    setattr(owner, name, value)
