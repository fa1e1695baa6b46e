"""The `direct` lowering's compiled part: built for this machine on request, found when it is there.

Example:
    >>> import convsmith as cs
    >>> cs.direct.status()["tensorflow"] in ("built", "not built", "off")
    True
"""

from convsmith.direct.builder import build, steps
from convsmith.direct.library import status

__all__ = ["build", "status", "steps"]
