"""Every cell of the table of features and formats that this backend writes, and the page of it."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from tools import export_matrix

from convsmith.models import export
from convsmith.models.formats import FORMATS

HERE = [
    cell
    for cell in export_matrix.cells()
    if FORMATS[cell[1]].backend in (None, keras.config.backend())
]


@pytest.mark.parametrize(("feature", "name"), HERE)
def test_cell(feature: str, name: str, tmp_path: Path) -> None:
    model = export_matrix.FEATURES[feature]()
    path = tmp_path / f"artifact{FORMATS[name].suffix}"
    report = export(model, path, format=name)  # type: ignore[arg-type]
    assert export_matrix.found(report) == export_matrix.recorded(feature, name)
    assert report.path == path
    assert path.exists()
    batches = {sizes[0][0] for sizes in report.sizes}
    assert len(batches) > 1, "any batch"
    images = {sizes[0][1:] for sizes in report.sizes}
    opened = any(None in x.shape[1:] for x in model.inputs)
    assert (len(images) > 1) == (opened and "one size" not in export_matrix.found(report))


@pytest.mark.one_backend
def test_page_shows_the_table() -> None:
    text = export_matrix.PAGE.read_text(encoding="utf-8")
    assert export_matrix.page(text) == text
    assert export_matrix.table() in text


@pytest.mark.one_backend
def test_every_cell_has_a_backend_that_runs_it() -> None:
    assert {form.backend for form in FORMATS.values()} <= {None, "tensorflow", "jax", "torch"}
    assert set(export_matrix.RECORDED) <= set(export_matrix.cells())
