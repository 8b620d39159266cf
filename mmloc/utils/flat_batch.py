# Copyright (c) mmloc contributors. All rights reserved.
"""A batch whose tensors lie in one piece of memory.

A loader worker sends each tensor by a file descriptor of its own, and each is
then copied to the device by itself: 12 per sample for SoCo, 1536 for a batch
of 128. Here it is one descriptor, one pinned piece and one copy.
"""
import copyreg
import io
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

#: Bytes to a multiple of which each tensor is placed, as by torch itself.
ALIGNMENT = 64


class OwnBatch(dict):
    """An unpacked batch that nobody else holds, on the device asked for.

    So its samples may be changed as they are, without a copy of each.
    """


class Row(NamedTuple):
    """Tensors of one kind, one behind the other.

    Attributes:
        start (int): Bytes before the first.
        num (int): How many they are.
        dtype (torch.dtype): Of each.
        shape (tuple[int]): Of each.
        strides (tuple[int]): Of each, in elements.
    """

    start: int
    num: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def step(self) -> int:
        """int: Bytes from one to the next."""
        size = math.prod(self.shape) * self.dtype.itemsize
        return -(-size // ALIGNMENT) * ALIGNMENT

    def tensors(self, buffer: Tensor) -> list[Tensor]:
        """Find the tensors in a buffer.

        Args:
            buffer (Tensor): uint8 (B, ).

        Returns:
            list[Tensor]: They share its memory.
        """
        size = self.dtype.itemsize
        row = buffer.view(self.dtype).as_strided(
            (self.num, *self.shape), (self.step // size, *self.strides),
            self.start // size)
        # By `data` each counts its own changes: autograd would take one for
        # a change of all.
        return [tensor.data for tensor in row.unbind()]


class FlatBatch(Mapping):
    """A collated batch, packed: a buffer, and a pickle of all else.

    It reads as the mapping that was packed, which it unpacks when somebody
    first looks into it. Who wants the batch on a device calls :meth:`unpack`,
    which sends it there in one piece.

    A tensor that stood in several places, or several that were the same view
    of the same memory, are one tensor again. No others share memory, also
    where they did before. Strides stay as they are, but a tensor with gaps,
    or an expanded one, becomes dense. Subclasses of Tensor and arrays of
    NumPy travel in the pickle.

    Args:
        buffer (Tensor): uint8 (B, ), all tensors.
        rows (list[Row]): Where they are.
        skeleton (bytes): Pickle of the rest.
    """

    def __init__(self, buffer: Tensor, rows: list[Row],
                 skeleton: bytes) -> None:
        self.buffer = buffer
        self.rows = rows
        self.skeleton = skeleton
        self._contents: dict | None = None

    @classmethod
    def pack(cls, batch: Mapping) -> 'FlatBatch':
        """Copy a batch into one buffer: a worker's into shared memory.

        Args:
            batch (Mapping): Of whatever can be pickled.

        Returns:
            FlatBatch: The same, packed.

        Raises:
            TypeError: It is no mapping, or cannot be pickled.
            ValueError: A tensor is not dense on the CPU, or has a gradient.
            RuntimeError: There is no shared memory left.
        """
        if not isinstance(batch, Mapping):
            raise TypeError(
                f'The samples make a batch of type {type(batch).__name__}, '
                'expected a dict; end the pipeline with a transform that '
                "packs, or set collate_fn=dict(type='pseudo_collate').")
        packer = _Packer()
        skeleton = packer.pickled(dict(batch))
        return cls(*packer.packed(), skeleton)

    def unpack(self,
               device: torch.device | str | None = None,
               non_blocking: bool = False) -> OwnBatch:
        """Build the batch anew.

        Args:
            device (torch.device | str, optional): Where the tensors go, by
                one copy. Defaults to None, where the buffer is.
            non_blocking (bool): Whether not to wait for the copy of a pinned
                buffer. Defaults to False.

        Returns:
            OwnBatch: New in each call, but for the memory of tensors that
            stay on their device.
        """
        buffer = self.buffer
        if device is not None:
            buffer = buffer.to(device, non_blocking=non_blocking)
        return OwnBatch(_Unpacker(self.skeleton, buffer, self.rows).load())

    def pin_memory(self) -> 'FlatBatch':
        """Copy to pinned memory; data loaders call this.

        Returns:
            FlatBatch: The pinned one.
        """
        batch = self.pack(self) if self.opened else self
        return FlatBatch(batch.buffer.pin_memory(), batch.rows, batch.skeleton)

    @property
    def opened(self) -> bool:
        """bool: Whether somebody has looked into it, and so may have made
        changes that :meth:`unpack` does not show."""
        return self._contents is not None

    def mentions(self, word: str) -> bool:
        """Tell without unpacking whether a word may occur.

        Args:
            word (str): A key or a field.

        Returns:
            bool: False if it is nowhere.
        """
        return word.encode() in self.skeleton

    def _open(self) -> dict:
        if self._contents is None:
            self._contents = dict(self.unpack())
        return self._contents

    def __getitem__(self, key: str) -> Any:
        return self._open()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open())

    def __len__(self) -> int:
        return len(self._open())

    def __repr__(self) -> str:
        return (f'{type(self).__name__}({sum(row.num for row in self.rows)} '
                f'tensors in {len(self.buffer)} bytes)')

    def __reduce__(self) -> tuple:
        if self.opened:
            return FlatBatch.pack, (self._contents, )
        return FlatBatch, (self.buffer, self.rows, self.skeleton)


def _tensor(row: int, place: int) -> Tensor:
    """What a skeleton calls for a tensor; :class:`_Unpacker` has its own."""
    raise pickle.UnpicklingError('Only FlatBatch.unpack reads this pickle.')


class _Packer:
    """Pickle what is no tensor, and collect what is.

    Here and below nothing refers back to what holds it: such a circle would
    keep the images of a batch until Python looks for circles, many batches
    later.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple, int] = {}
        self._rows: list[list[Tensor]] = []
        self._places: dict[tuple, tuple[int, int]] = {}

    def pickled(self, batch: dict) -> bytes:
        """Pickle a batch without its tensors."""
        file = io.BytesIO()
        pickler = pickle.Pickler(file, protocol=pickle.HIGHEST_PROTOCOL)
        # Asked for tensors alone; Python would call persistent_id for every
        # number and every string.
        pickler.dispatch_table = {
            **copyreg.dispatch_table, Tensor: self._reduce
        }
        try:
            pickler.dump(batch)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f'The samples cannot be sent as a batch ({error}); leave that '
                'out of them, such as by meta_keys of the transform that '
                'packs.') from error
        return file.getvalue()

    def packed(self) -> tuple[Tensor, list[Row]]:
        """Copy the tensors that were met into a buffer."""
        rows, size = [], 0
        for kind, tensors in zip(self._kinds, self._rows):
            rows.append(Row(size, len(tensors), *kind))
            size += rows[-1].step * len(tensors)
        if get_worker_info() is None:
            buffer = torch.empty(size, dtype=torch.uint8)
        else:
            # As torch's default_collate does: the process that takes the
            # batch then need not copy it.
            buffer = _shared(size)
        for row, tensors in zip(rows, self._rows):
            torch._foreach_copy_(row.tensors(buffer), tensors)
        return buffer, rows

    def _reduce(self, tensor: Tensor) -> tuple[Callable, tuple[int, int]]:
        """Note a tensor; pickle itself knows the same object again."""
        if (tensor.layout is not torch.strided or tensor.device.type != 'cpu'
                or tensor.requires_grad):
            raise ValueError(
                f'A sample holds a tensor of shape {tuple(tensor.shape)} with '
                f'{tensor.layout}, device {str(tensor.device)!r} and '
                f'requires_grad={tensor.requires_grad}, expected dense ones '
                'on the CPU without gradient; let the pipeline end with '
                '.detach().cpu().')
        tensor = tensor.resolve_conj().resolve_neg()
        shape, strides = tuple(tensor.shape), tensor.stride()
        view = tensor.data_ptr(), tensor.dtype, shape, strides
        if view not in self._places:
            if not tensor.is_contiguous():
                # Those of a copy, which has no gaps.
                strides = torch.empty_like(tensor, device='meta').stride()
            kind = tensor.dtype, shape, strides
            row = self._kinds.setdefault(kind, len(self._kinds))
            if row == len(self._rows):
                self._rows.append([])
            self._places[view] = row, len(self._rows[row])
            self._rows[row].append(tensor)
        return _tensor, self._places[view]


def _shared(size: int) -> Tensor:
    """Shared memory, uint8 (size, )."""
    try:
        storage = torch.UntypedStorage._new_shared(size, device='cpu')
    except RuntimeError as error:
        raise RuntimeError(
            f'There is no shared memory left for a batch of {size} bytes '
            f'({str(error).splitlines()[0]}), of which each worker holds '
            'prefetch_factor; give /dev/shm more room (docker run '
            '--shm-size), or set a lower num_workers, prefetch_factor or '
            'batch_size in the data loader.') from error
    return torch.empty(0, dtype=torch.uint8).set_(storage)


class _Unpacker(pickle.Unpickler):
    """Read a skeleton, with tensors of a buffer."""

    def __init__(self, skeleton: bytes, buffer: Tensor,
                 rows: list[Row]) -> None:
        super().__init__(io.BytesIO(skeleton))
        tensors = [row.tensors(buffer) for row in rows]
        self._find = lambda row, place: tensors[row][place]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (__name__, _tensor.__name__):
            return self._find
        return super().find_class(module, name)
