# Copyright (c) mmloc contributors. All rights reserved.
"""Detection-aligned self-supervised pretraining on mmengine and mmdet."""
import importlib
import re
import sys
import warnings
from importlib import metadata

from .version import __version__

__all__ = ['__version__']

#: The first version that works and the first that does not; the same ranges
#: as in ``requirements/``.
SUPPORTED = {
    'torch': ('2.6', '2.14'),
    'mmengine': ('0.10.7', '0.11.0'),
    'mmcv': ('2.0.1', '2.2.0'),
    'mmdet': ('3.3.0', '3.4.0'),
    'mmpretrain': ('1.2.0', '1.3.0'),
}


def _digits(version: str) -> tuple:
    return tuple(int(n) for n in re.findall(r'\d+', version.split('+')[0])[:3])


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        try:  # on PYTHONPATH without being installed
            return importlib.import_module(package).__version__
        except ImportError:
            return ''


def _check_versions() -> None:
    # Not an ImportError: mmengine swallows those when it imports a registry.
    for package, (first, stop) in SUPPORTED.items():
        found = _installed(package)
        if not (found and _digits(first) <= _digits(found) < _digits(stop)):
            raise RuntimeError(
                f'mmloc needs {package}>={first},<{stop} but found '
                f'{found or "none"}: run "bash tools/setup_env.sh" in a '
                'checkout of mmloc, or install a version in that range.')


# mmengine imports it for every base of another package.
warnings.filterwarnings('ignore', 'pkg_resources is deprecated')

# The environment check has to show its table where these would raise.
if 'mmloc.utils.check_env' not in sys.orig_argv:
    _check_versions()

    import _mmloc_bases  # noqa: F401

    from .utils.checkpoint import allow_mmengine_checkpoints
    allow_mmengine_checkpoints()
