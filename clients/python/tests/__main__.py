"""Runs the tests with the installed package: `python clients/python/tests`.

They test what the story cannot. The last line is `N passed, N failed`.
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

if __name__ == "__main__":
    suite = unittest.defaultTestLoader.discover(str(Path(__file__).parent))
    ended = unittest.TextTestRunner(sys.stdout, verbosity=2).run(suite)
    bad = len({str(test) for test, _ in ended.failures + ended.errors})
    print(f"{ended.testsRun - min(bad, ended.testsRun)} passed, {bad} failed")
    raise SystemExit(not ended.wasSuccessful() or not ended.testsRun)
