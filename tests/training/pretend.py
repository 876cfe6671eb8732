"""A device of its own for torch, with real numbers: what a GPU would refuse, it refuses; what it computes, a CPU does.

A tensor on the device `pretend` holds one of the CPU, on which every operation runs. An operation on tensors of both
devices raises, as on a GPU (numbers, which are tensors without dimensions, may come from the CPU). Gradients work, in
a process that imports this module before its first ones: torch then counts its devices.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

DEVICE = "pretend"
_setup_privateuseone_for_python_backend(DEVICE)
_BACK = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class Pretend(torch.Tensor):
    """A tensor on the device, around one of the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Pretend":
        """Around a tensor of the CPU."""
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=torch.device(DEVICE, 0),
            requires_grad=False,
        )
        made.held = held
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], context: None, size: Any, stride: Any) -> "Pretend":
        return Pretend(inner["held"])

    def __reduce_ex__(self, protocol: Any) -> Any:
        # What is saved comes back on the CPU, as Lightning asks for.
        return self.held.__reduce_ex__(protocol)

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [item for item in pytree.tree_leaves((args, kwargs)) if isinstance(item, torch.Tensor)]
    ours = [item for item in tensors if isinstance(item, Pretend)]
    wanted = kwargs.get("device")
    if not ours and (wanted is None or torch.device(wanted).type != DEVICE):
        return func(*args, **kwargs)
    if ours and func not in _BACK and any(not isinstance(item, Pretend) and item.ndim for item in tensors):
        raise RuntimeError(f"{func}: tensors on two devices, {DEVICE} and cpu")
    there = bool(ours) if wanted is None else torch.device(wanted).type == DEVICE
    if func is torch.ops.aten.copy_.default:
        there = isinstance(args[0], Pretend)
    plain_args, plain_kwargs = pytree.tree_map_only(Pretend, lambda item: item.held, (args, kwargs))
    if wanted is not None:
        plain_kwargs["device"] = torch.device("cpu")
    out = func(*plain_args, **plain_kwargs)
    if there:
        out = pytree.tree_map_only(torch.Tensor, Pretend, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if ours or there else out


@contextmanager
def pretend_device() -> Iterator[torch.device]:
    """The device, there for as long as this lasts."""
    # A module's parameters shall stay the same objects when it moves, as they do between a CPU and a GPU.
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    # What `torch.tensor` makes for the device passes here too.
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with _Mode():
            yield torch.device(DEVICE, 0)
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_swap_module_params_on_conversion(before)
