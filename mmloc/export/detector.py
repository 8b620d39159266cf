# Copyright (c) mmloc contributors. All rights reserved.
"""Names of a detector's weights: mmdet's, detectron2's and torchvision's.

mmloc's online network has the names of mmdet's detectors, so these are where
all conversions start and end.
"""
from collections.abc import Mapping

from torch import Tensor

from .names import inverse, rename, some

_RESNET = ('conv1', 'bn1', 'layer1', 'layer2', 'layer3', 'layer4')
_RES5 = 'roi_head.shared_head.layer4.'
_HEAD = 'roi_head.bbox_head'
#: How names start in mmdet, and in detectron2 without the module paths that
#: differ between FPN and C4.
_DETECTRON2 = {
    'backbone.conv1.': 'stem.conv1.',
    'backbone.bn1.': 'stem.conv1.norm.',
    **{f'backbone.layer{i}.': f'res{i + 1}.' for i in range(1, 5)},
    **{
        f'neck.{ours}_convs.{i}.{layer}.': f'fpn_{theirs}{i + 2}.{norm}'
        for ours, theirs in (('lateral', 'lateral'), ('fpn', 'output'))
        for i in range(4) for layer, norm in (('conv', ''), ('bn', 'norm.'))
    },
    **{
        f'{_HEAD}.shared_convs.{i}.{layer}.': f'box_head.conv{i + 1}.{norm}'
        for i in range(4) for layer, norm in (('conv', ''), ('bn', 'norm.'))
    },
    f'{_HEAD}.shared_fcs.0.': 'box_head.fc1.',
    # The published converter of InsLoc leaves it so. The published detectors
    # have one layer, and detectron2 reports that it does not use this one.
    f'{_HEAD}.shared_fcs.1.': f'{_HEAD}.shared_fcs.1.',
}
#: Modules inside of a residual block.
_BLOCK = {
    **{f'bn{i}': f'conv{i}.norm' for i in (1, 2, 3)},
    'downsample.0': 'shortcut',
    'downsample.1': 'shortcut.norm',
}
#: Paths of detectron2's modules.
_PATHS = {
    'FPN': {
        'stem.': 'backbone.bottom_up.stem.',
        'res': 'backbone.bottom_up.res',
        'fpn_': 'backbone.fpn_',
        'box_head.': 'roi_heads.box_head.',
        _HEAD: _HEAD,
    },
    'C4': {
        'stem.': 'backbone.stem.',
        'res': 'backbone.res',
        'res5.': 'roi_heads.res5.',
    },
}


def to_detectron2(state: Mapping[str, Tensor]
                  ) -> tuple[dict[str, Tensor], list[str]]:
    """Give a detector's weights the names of detectron2's modules.

    Args:
        state (Mapping[str, Tensor]): Weights by mmdet's names.

    Returns:
        tuple[dict[str, Tensor], list[str]]: The same tensors, and the names
        of those of the RoI head that are left out.

    Raises:
        ValueError: If weights of backbone or neck have no place there.
    """
    arch = _arch(state)
    short, left_out = rename(state, _short_names(arch), _BLOCK)
    _check_place('detectron2', left_out, ('backbone.', 'neck.'))
    return rename(short, _PATHS[arch])[0], left_out


def from_detectron2(state: Mapping[str, Tensor]
                    ) -> tuple[dict[str, Tensor], list[str]]:
    """Give the weights of a file for detectron2 mmdet's names.

    Args:
        state (Mapping[str, Tensor]): Weights by the names of detectron2's
            modules, or by the endings that SoCo's published converters
            write.

    Returns:
        tuple[dict[str, Tensor], list[str]]: The same tensors, and the names
        of those that are left out.
    """
    pyramid = any('fpn_' in name or 'bottom_up.' in name for name in state)
    names = inverse(_short_names('FPN' if pyramid else 'C4'))
    short = {short_name(name): tensor for name, tensor in state.items()}
    return rename(short, names, inverse(_BLOCK))


def short_name(name: str) -> str:
    """Remove the module path of detectron2 that depends on the network.

    Args:
        name (str): ``backbone.bottom_up.res2.0.conv1.weight`` and the like.

    Returns:
        str: ``res2.0.conv1.weight``.
    """
    for path in ('backbone.', 'bottom_up.', 'roi_heads.'):
        name = name.removeprefix(path)
    return name


def to_torchvision(state: Mapping[str, Tensor]
                   ) -> tuple[dict[str, Tensor], list[str]]:
    """Give the ResNet of a detector torchvision's names, which timm shares.

    Args:
        state (Mapping[str, Tensor]): Weights by mmdet's names.

    Returns:
        tuple[dict[str, Tensor], list[str]]: The ResNet without its
        classifier, and the names of the weights that are left out.

    Raises:
        ValueError: If weights of the backbone have no place there, or the
            last stage is missing.
    """
    starts = {f'backbone.{part}.': f'{part}.' for part in _RESNET}
    renamed, left_out = rename(state, starts | {_RES5: 'layer4.'})
    _check_place('torchvision', left_out, ('backbone.', ))
    if not any(name.startswith('layer4.') for name in renamed):
        raise ValueError(
            'there is no last stage of a ResNet, neither at backbone.layer4 '
            f'nor at {_RES5.rstrip(".")}; give weights that have one')
    return renamed, left_out


def _arch(state: Mapping[str, Tensor]) -> str:
    return 'C4' if any(name.startswith(_RES5) for name in state) else 'FPN'


def _short_names(arch: str) -> dict[str, str]:
    if arch == 'FPN':
        return _DETECTRON2
    names = {start: new for start, new in _DETECTRON2.items()
             if start.startswith('backbone.') and 'layer4' not in start}
    return names | {_RES5: 'res5.'}


def _check_place(where: str, names: list[str], parts: tuple[str]) -> None:
    lost = [name for name in names if name.startswith(parts)]
    if lost:
        raise ValueError(
            f'{some(lost)} have no place in the ResNet and FPN of {where}; '
            'give weights of a plain ResNet')
