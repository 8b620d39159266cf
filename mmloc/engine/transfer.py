# Copyright (c) mmloc contributors. All rights reserved.
"""What of a checkpoint reaches a model, module by module (pure functions)."""
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from terminaltables import AsciiTable
from torch import Tensor

#: Parts of a pretraining network that no detector has: the momentum copy,
#: the loss with its queue, and the embedding layers; mmpretrain's below.
PRETEXT_PARTS = ('target', 'head', 'projector', 'predictor',
                 'target_net', 'encoder_k', 'queue', 'queue_ptr', 'queue2',
                 'queue2_ptr')
#: Parts that are reported one level deeper.
_CONTAINERS = ('roi_head', )


@dataclass
class ModuleTransfer:
    """Tensor names of one module, by their fate.

    Attributes:
        loaded (list[str]): In both, with the same shape.
        missing (list[str]): In the model only; they keep their first values.
        wrong_shape (list[str]): In both, with different shapes.
        unexpected (list[str]): In the checkpoint only.
    """
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    wrong_shape: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    @property
    def partial(self) -> bool:
        """bool: Whether some tensors are loaded and others are not, counters
        of batches apart, which old checkpoints lack and nothing reads."""
        missing = [name for name in self.missing
                   if not name.endswith('.num_batches_tracked')]
        return bool(self.loaded and (missing or self.wrong_shape))

    @property
    def in_model(self) -> int:
        """int: How many tensors of the model the module has."""
        return len(self.loaded) + len(self.missing) + len(self.wrong_shape)


@dataclass
class TransferReport:
    """The fate of every tensor when a checkpoint is loaded into a model.

    Attributes:
        modules (dict[str, ModuleTransfer]): By module, in the model's order,
            then those that only the checkpoint has.
        pretext (dict[str, int]): How many tensors of each pretext-only part
            the checkpoint has beyond the model; ignored on purpose.
    """
    modules: dict[str, ModuleTransfer]
    pretext: dict[str, int]

    @property
    def loaded(self) -> int:
        """int: How many tensors are taken from the checkpoint."""
        return sum(len(module.loaded) for module in self.modules.values())

    @property
    def complete(self) -> bool:
        """bool: Whether checkpoint and model have the same tensors."""
        return not self.pretext and all(
            len(module.loaded) == module.in_model and not module.unexpected
            for module in self.modules.values())

    @property
    def partial(self) -> list[str]:
        """list[str]: Modules of which only some tensors are loaded, except
        heads, whose predictors belong to their task."""
        return [
            name for name, module in self.modules.items()
            if module.partial and not name.endswith('_head')
        ]

    def check(self) -> None:
        """Refuse a checkpoint that has nothing for this model.

        Raises:
            RuntimeError: If no tensor of the model, or none of its backbone,
                is loaded.
        """
        part = 'model' if self.loaded == 0 else 'backbone'
        backbone = self.modules.get('backbone', ModuleTransfer())
        if self.loaded and (backbone.loaded or not backbone.in_model):
            return
        theirs = [name for name, m in self.modules.items() if m.unexpected]
        raise RuntimeError(
            f"none of the {part}'s tensors is in the checkpoint, which has "
            f'{", ".join([*theirs, *self.pretext]) or "no tensors"}; give a '
            'checkpoint of the same architecture, whose tensors are named '
            'as in the model (backbone.conv1.weight, ...)')

    def table(self) -> str:
        """str: The report as a table, one row for each module."""
        rows = [['module', 'loaded', 'missing', 'wrong shape', 'unexpected']]
        for name, module in self.modules.items():
            rows.append([
                name, f'{len(module.loaded)} of {module.in_model}',
                *(len(names) or '-' for names in (
                    module.missing, module.wrong_shape, module.unexpected))
            ])
        for name, count in self.pretext.items():
            rows.append([name, 'ignored (pretext)', '-', '-', count])
        return AsciiTable(rows).table


def compare_state_dicts(model_state: Mapping[str, Tensor],
                        checkpoint_state: Mapping[str, Tensor]
                        ) -> TransferReport:
    """Compare the tensors of a model with those of a checkpoint.

    Args:
        model_state (Mapping[str, Tensor]): The model's ``state_dict()``.
        checkpoint_state (Mapping[str, Tensor]): The checkpoint's.

    Returns:
        TransferReport: What a non-strict loading takes over.
    """
    modules: dict[str, ModuleTransfer] = defaultdict(ModuleTransfer)
    for name, tensor in model_state.items():
        module = modules[_module_of(name)]
        if name not in checkpoint_state:
            module.missing.append(name)
        elif checkpoint_state[name].shape != tensor.shape:
            module.wrong_shape.append(name)
        else:
            module.loaded.append(name)
    pretext = _pretext_parts(model_state, checkpoint_state)
    for name in checkpoint_state:
        if name.split('.')[0] not in pretext and name not in model_state:
            modules[_module_of(name)].unexpected.append(name)
    return TransferReport(dict(modules), pretext)


def _pretext_parts(model_state: Mapping[str, Tensor],
                   checkpoint_state: Mapping[str, Tensor]) -> dict[str, int]:
    """Pretext-only parts of a checkpoint, with their numbers of tensors: they
    are called so and share no name with the model."""
    counts = Counter(name.split('.')[0] for name in checkpoint_state)
    common = {name.split('.')[0] for name in checkpoint_state
              if name in model_state}
    pretext = {part: count for part, count in counts.items()
               if part in PRETEXT_PARTS and part not in common}
    # What mmpretrain calls a neck there is an embedding, not a pyramid.
    if pretext and 'neck' in counts and 'neck' not in common and not any(
            name.startswith('neck.lateral_convs.')
            for name in checkpoint_state):
        pretext['neck'] = counts['neck']
    return pretext


def _module_of(name: str) -> str:
    """``backbone.layer1.0.conv1.weight`` is in ``backbone``,
    ``roi_head.bbox_head.fc_cls.bias`` in ``roi_head.bbox_head``."""
    parts = name.split('.')
    depth = 2 if parts[0] in _CONTAINERS and len(parts) > 2 else 1
    return '.'.join(parts[:depth])
