# Copyright (c) mmloc contributors. All rights reserved.
"""What ``tools/setup_env.sh`` asks an environment; standard library only.

``python env_facts.py QUESTION [ARGUMENT ...]`` prints the answer, or gives it
as the exit code for a question that is answered by yes (0) or no (1).
"""
import re
import subprocess
import sys
import sysconfig
from importlib import metadata, util
from pathlib import Path


def supported():
    """Whether mmloc supports this Python."""
    return (3, 10) <= sys.version_info[:2] < (3, 13)


def installed(root):
    """Whether mmloc is installed from ``root`` with the metadata of today."""
    root = Path(root)
    spec = util.find_spec('mmloc')
    if spec is None or Path(spec.origin).resolve() != root / 'mmloc' / \
            '__init__.py':
        return False
    record = Path(metadata.distribution('mmloc')._path, 'METADATA')
    sources = [root / 'setup.cfg', root / 'pyproject.toml',
               *root.glob('_mmloc_bases.*'), *root.glob('requirements/*.txt')]
    return all(path.stat().st_mtime <= record.stat().st_mtime
               for path in sources)


def version(name):
    """Print the installed version of a package; nothing if there is none."""
    try:
        print(metadata.version(name))
    except metadata.PackageNotFoundError:
        pass


def opencv():
    """Print the installed flavours of OpenCV."""
    names = {dist.metadata['Name'] for dist in metadata.distributions()}
    for name in sorted(filter(None, names)):
        if name.lower().startswith('opencv'):
            print(name)


def unmet(*paths):
    """Print the requirements of some files that are not met."""
    from pip._vendor.packaging.requirements import Requirement
    for path in paths:
        for line in Path(path).read_text().splitlines():
            line = line.partition('#')[0].strip()
            if not line:
                continue
            need = Requirement(line)
            try:
                found = metadata.version(need.name)
            except metadata.PackageNotFoundError:
                found = None
            if found is None or not need.specifier.contains(found, True):
                print(line)


def operators():
    """Print ``cpu``, ``cpu-no-nvcc`` or the CUDA version to build mmcv for."""
    import torch
    from torch.utils.cpp_extension import CUDA_HOME
    if not torch.cuda.is_available():
        print('cpu')
        return
    nvcc = Path(CUDA_HOME or '/nonexistent', 'bin', 'nvcc')
    said = subprocess.run([nvcc, '--version'], capture_output=True,
                          text=True).stdout if nvcc.exists() else ''
    release = re.search(r'release (\d+)', said)
    if release and release[1] == (torch.version.cuda or '').split('.')[0]:
        print('cu{}-sm{}{}'.format(torch.version.cuda,
                                   *torch.cuda.get_device_capability()))
    else:
        print('cpu-no-nvcc')


def key(operators, mmcv):
    """Print the name under which a built mmcv is kept."""
    import torch
    print('cp{}{}'.format(*sys.version_info), sysconfig.get_platform(),
          f'torch{torch.__version__}', operators, f'mmcv{mmcv}', sep='-')


if __name__ == '__main__':
    answer = globals()[sys.argv[1]](*sys.argv[2:])
    sys.exit(answer is False)
