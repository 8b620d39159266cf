# Copyright (c) mmloc contributors. All rights reserved.
"""The registries of mmloc, children of those of mmengine.

A type written as ``mmloc.X`` makes mmengine import this module by itself, and
each registry imports the modules named in ``locations`` the first time that
it is asked. This module must therefore import nothing but mmengine: an
``ImportError`` raised here would be swallowed by mmengine and come back as a
missing type.
"""
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

#: Image sources and dataset wrappers.
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, locations=['mmloc.datasets'])
#: Batch samplers.
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMENGINE_DATA_SAMPLERS,
    locations=['mmloc.datasets.samplers'])
#: Collations of samples.
FUNCTIONS = Registry(
    'function', parent=MMENGINE_FUNCTIONS, locations=['mmloc.datasets'])
#: Data transforms of the pretext tasks.
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    locations=['mmloc.datasets.transforms'])
#: Algorithms, RoI heads, loss heads and target networks.
MODELS = Registry('model', parent=MMENGINE_MODELS, locations=['mmloc.models'])
#: Metrics of the probes and of data sets.
METRICS = Registry(
    'metric', parent=MMENGINE_METRICS, locations=['mmloc.evaluation'])
#: Training loops.
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, locations=['mmloc.engine'])
#: Training hooks.
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, locations=['mmloc.engine'])
#: Optimizers.
OPTIMIZERS = Registry(
    'optimizer', parent=MMENGINE_OPTIMIZERS, locations=['mmloc.engine'])
#: Schedules of the learning rate.
PARAM_SCHEDULERS = Registry(
    'parameter scheduler',
    parent=MMENGINE_PARAM_SCHEDULERS,
    locations=['mmloc.engine'])
#: Optimizer wrappers.
OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    locations=['mmloc.engine'])
