# Copyright (c) mmloc contributors. All rights reserved.
from .golden import ERRORS


def pytest_terminal_summary(terminalreporter):
    """Print how far we are from the published implementation."""
    if ERRORS:
        terminalreporter.section('largest errors against the reference')
    for quantity, (error, kind) in sorted(ERRORS.items()):
        terminalreporter.write_line(f'{quantity:<64}{error:.1e} {kind}')
