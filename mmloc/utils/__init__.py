# Copyright (c) mmloc contributors. All rights reserved.
"""Helpers of the package.

Importing this module must stay free of torch and of the OpenMMLab packages:
``python -m mmloc.utils.check_env`` goes through it on an environment in which
these may be broken.
"""
