"""What these tests share: the tool's modules to import, and a skip that says its reason.

The tests run on Debian's own Python, which its packages python3-numpy and python3-pil belong to.
"""
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import cases

BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
MODELS = ROOT / "models"
sys.path.insert(0, str(ROOT / "tools/demo_models"))


def skip(reason):
    print("skipped:", reason)
    sys.exit(cases.SKIPPED)


try:
    import numpy  # noqa: F401
    import PIL  # noqa: F401
except ImportError as error:
    skip(f"{error.name} is missing: script/bootstrap python3-numpy python3-pil")
