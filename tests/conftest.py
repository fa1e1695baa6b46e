"""One backend per process: KERAS_BACKEND chooses it, and a missing one fails the run."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

BACKENDS = ("tensorflow", "jax", "torch")
DEFAULT = BACKENDS[0]
BACKEND = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Processors without instructions for neural networks have oneDNN off, and Keras's own layers, which
# ours are held against, then refuse channels first, and gradients of dilation and groups.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("CONVSMITH_WISDOM", "off")  # What was tuned here must not change the tests.
KERNELS = Path(__file__).parent.parent / ".cache" / "direct"
os.environ.setdefault("CONVSMITH_DIRECT", str(KERNELS))

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "full", settings.get_profile("ci"), derandomize=False, max_examples=1000, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    if BACKEND not in BACKENDS or importlib.util.find_spec(BACKEND) is None:
        raise pytest.UsageError(
            f"KERAS_BACKEND={BACKEND!r} is not an installed backend; expected one of {BACKENDS}"
        )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the kernels once, before workers start, where there is a compiler."""
    from convsmith import direct
    from convsmith.direct.builder import compiler

    worker = hasattr(session.config, "workerinput")
    if not worker and compiler() is not None and "not built" in direct.status().values():
        direct.build()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop, rather than skip, the dear tests that run on the default backend only."""
    if BACKEND == DEFAULT:
        return
    dropped = [item for item in items if item.get_closest_marker("one_backend")]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


@pytest.fixture(scope="session")
def backend() -> str:
    """The backend of this process."""
    return BACKEND
