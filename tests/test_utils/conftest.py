# Copyright (c) mmloc contributors. All rights reserved.
import resource
from contextlib import contextmanager

import pytest


@pytest.fixture
def file_size_limit():
    """Refuse to let files grow beyond some bytes, as a full disk does."""

    @contextmanager
    def limit(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit
