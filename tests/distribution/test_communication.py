"""The formulas against rings that are played through, message by message."""

from __future__ import annotations

import numpy as np
import pytest

from convsmith.distribution import gathered_bytes, reduced_bytes
from devices_page import PAGE, blocks

pytestmark = pytest.mark.backend_free


def gather_round_a_ring(held: list[dict[int, np.ndarray]]) -> int:
    """Let every device get every part from its neighbour; return the bytes that each sends."""
    count, sent = len(held), 0
    for turn in range(count - 1):
        for i in range(count):
            part = (i + 1 - turn) % count
            held[(i + 1) % count][part] = held[i][part]
            sent += held[i][part].nbytes
    return sent // count


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_a_ring_sums_and_gathers_with_so_many_bytes(count: int) -> None:
    rng = np.random.default_rng(count)
    gradients = rng.normal(size=(count, 24 * count))
    parts = [np.split(gradient.copy(), count) for gradient in gradients]
    sent = 0
    for turn in range(count - 1):
        for i in range(count):
            part = (i - turn) % count
            parts[(i + 1) % count][part] += parts[i][part]
            sent += parts[i][part].nbytes
    held = [{(i + 1) % count: parts[i][(i + 1) % count]} for i in range(count)]
    gathered = gather_round_a_ring(held)
    for device in held:
        whole = np.concatenate([device[part] for part in range(count)])
        np.testing.assert_allclose(whole, gradients.sum(axis=0))
    assert gathered == gathered_bytes(gradients[0].nbytes, count)
    assert sent // count + gathered == reduced_bytes(gradients[0].nbytes, count)


def test_the_numbers_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("What a step costs")
    exec(compile(code, str(PAGE), "exec"), {})
    assert f"```text\n{capsys.readouterr().out}```" in PAGE.read_text(encoding="utf-8")
