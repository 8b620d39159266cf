# Copyright (c) mmloc contributors. All rights reserved.
"""The version of mmloc; ``setup.cfg`` reads it from here."""
__version__ = '0.1.0'
