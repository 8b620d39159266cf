# Copyright (c) mmloc contributors. All rights reserved.
"""setuptools' build backend, which also puts ``_mmloc_bases.pth`` in wheels.

setuptools has no declarative way to place a ``.pth`` file next to the
package, and an editable wheel holds nothing but what setuptools puts there.
"""
import base64
import hashlib
import os
import zipfile

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403

STARTUP = '_mmloc_bases.pth'


def _add_startup(folder, name):
    """Rewrite the wheel ``folder/name`` with the start-up file in it."""
    path = os.path.join(folder, name)
    with open(STARTUP, 'rb') as file:
        startup = file.read()
    digest = base64.urlsafe_b64encode(hashlib.sha256(startup).digest())
    row = f'{STARTUP},sha256={digest.decode().rstrip("=")},{len(startup)}\n'
    with zipfile.ZipFile(path) as old, \
            zipfile.ZipFile(f'{path}.new', 'w', zipfile.ZIP_DEFLATED) as new:
        new.writestr(STARTUP, startup)
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith('.dist-info/RECORD'):
                content += row.encode()
            new.writestr(entry, content)
    os.replace(f'{path}.new', path)
    return name


def build_wheel(wheel_directory, config_settings=None,
                metadata_directory=None):
    """Build the wheel; see PEP 517."""
    name = build_meta.build_wheel(wheel_directory, config_settings,
                                  metadata_directory)
    return _add_startup(wheel_directory, name)


def build_editable(wheel_directory, config_settings=None,
                   metadata_directory=None):
    """Build the wheel of an editable install; see PEP 660."""
    name = build_meta.build_editable(wheel_directory, config_settings,
                                     metadata_directory)
    return _add_startup(wheel_directory, name)
