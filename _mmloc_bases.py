# Copyright (c) mmloc contributors. All rights reserved.
"""Makes ``_base_ = 'mmloc::...'`` resolve in projects that never import mmloc.

mmengine looks external configs up in a table of its own packages, before
anything of ours can run. ``_mmloc_bases.pth`` therefore imports this module
at every start of Python, and it waits for mmengine's ``Config`` to be
imported. It must cost nothing and never fail: it imports neither mmloc nor
anything outside the standard library.
"""
import sys
from importlib.machinery import PathFinder

TARGET = 'mmengine.config.config'


class _ConfigFinder:
    """A finder that patches :data:`TARGET` once it has been executed."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != TARGET:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                patch(module)

            spec.loader.exec_module = exec_module
        return spec


def patch(module):
    """Teach mmengine's config module the package ``mmloc``; once.

    Args:
        module (ModuleType): ``mmengine.config.config``.
    """
    packages = sys.modules['mmengine.config.utils'].MODULE2PACKAGE
    if 'mmloc' in packages:
        return
    # mmengine takes the folder of what is named here. The name of a module
    # gives it for wheels and editable installs alike, while the name of the
    # distribution gives a wrong folder for the latter.
    packages['mmloc'] = 'mmloc.version'
    get_cfg_path = module.Config._get_cfg_path

    def _get_cfg_path(cfg_path, filename):
        # Types without a prefix in our configs are mmdet's. mmengine would
        # look them up in mmloc, where 'RandomFlip' ends up as mmcv's.
        path, scope = get_cfg_path(cfg_path, filename)
        return path, 'mmdet' if scope == 'mmloc' else scope

    module.Config._get_cfg_path = staticmethod(_get_cfg_path)


def install():
    """Patch mmengine's config module now, or as soon as it is imported."""
    if TARGET in sys.modules:
        patch(sys.modules[TARGET])
    elif _ConfigFinder not in sys.meta_path:
        sys.meta_path.insert(0, _ConfigFinder)


install()
