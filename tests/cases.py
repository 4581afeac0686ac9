"""How a test of Python's unittest ends: as a C test on check.h does.

A case that was skipped is a line "skip NAME: reason", which tools/test_summary.py counts; a program whose cases were
all skipped is skipped itself.
"""
import sys
import unittest

SKIPPED = 77  # what meson takes as a skip


def report(result):
    """Ends the program with the exit code of a unittest result."""
    for case, why in result.skipped:
        print(f"skip {case.id().replace('__main__.', '').replace(' ', '')}: {' '.join(why.split())}")
    if result.wasSuccessful() and result.skipped and len(result.skipped) >= result.testsRun:
        sys.exit(SKIPPED)
    sys.exit(not result.wasSuccessful())


def main():
    report(unittest.main(module="__main__", exit=False).result)
