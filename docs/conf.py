# Copyright (c) mmloc contributors. All rights reserved.
"""Sphinx configuration: ``sphinx-build -W -b html docs docs/_build/html``."""
from mmloc import __version__

project = 'mmloc'
author = 'mmloc contributors'
copyright = author
release = __version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_copybutton',
]
myst_enable_extensions = ['colon_fence', 'dollarmath']
myst_heading_anchors = 3
exclude_patterns = ['_build']
suppress_warnings = ['misc.highlighting_failure']

autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_typehints = 'none'  # the docstrings give types with their shapes

html_theme = 'furo'
html_title = f'mmloc {release}'


def setup(app):
    """Take out the part of napoleon that includes private members on demand:
    it asks classes for the functions that mmcv's ``cache_randomness`` wraps,
    which only instances have."""
    for listener in list(app.events.listeners['autodoc-skip-member']):
        if listener.handler.__module__ == 'sphinx.ext.napoleon':
            app.disconnect(listener.id)
