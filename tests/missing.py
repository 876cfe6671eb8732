"""Packages that are not there, for a process of its own."""

from collections.abc import Collection


def without(packages: Collection[str]) -> str:
    """The beginning of a script for which packages are missing, as if they had never been installed."""
    return f"""
import importlib.util
import sys

MISSING = {sorted(packages)!r}
found = importlib.util.find_spec


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Missing())
importlib.util.find_spec = lambda name, package=None: None if name in MISSING else found(name, package)
"""
