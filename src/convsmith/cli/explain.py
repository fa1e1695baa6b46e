"""`convsmith explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from convsmith.cli import backends
from convsmith.cli.app import BackendOption, DebugOption, app, out

if TYPE_CHECKING:
    from convsmith.models.report import Explanation


@app.command()
def explain(
    subject: Annotated[
        str, typer.Argument(metavar="FILE.keras|PATTERN", help="A saved model, or a pattern.")
    ],
    input_shape: Annotated[
        list[str] | None,
        typer.Option(
            help="Sizes that the model leaves open, the batch first: 1,224,224,3; once for each "
            "input."
        ),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="Of a pattern's operands, in order: --shape 8,32,32,3 --shape 3,3,3,16."),
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="Show all about this layer, instead of the table.")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="Execution mode: eager, graph or xla (TensorFlow), jit (JAX), eager or compiled "
            "(PyTorch); default: that of fit and predict."
        ),
    ] = None,
    effective: Annotated[
        bool,
        typer.Option("--effective", help="Measure effective receptive fields by gradients too."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with pictures, which needs nothing else.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw shares and receptive fields: PNG.")
    ] = None,
    backend: BackendOption = None,
    debug: DebugOption = False,
) -> None:
    """Show what a model or pattern computes, what it costs, what it sees, and what looks wrong.

    Models are loaded without running any code that their files hold.
    """
    shapes = [_shape(text, "--shape") for text in shape or ()]
    inputs = [_shape(text, "--input-shape") for text in input_shape or ()]
    name = backends.select(backend)
    with out.status(f"Starting {name}"):
        backends.start(debug=debug)
    with out.status("Explaining"):
        if "->" in subject:
            made = _of_pattern(subject, shapes, mode)
        else:
            made = _of_file(Path(subject), inputs, mode, effective)
    if html is not None:
        made.to_html(html)
    if plot is not None:
        from convsmith.files import replacing

        with replacing(plot) as temporary:
            made.plot().savefig(temporary, dpi=130)
    if json:
        print(made.to_json())
        return
    parts = [str(made[one]) for one in layer] if layer else [str(made)]
    out.print(Text("\n\n".join(parts)), soft_wrap=True)
    for path in (html, plot):
        if path is not None:
            out.print(Text(str(path)), soft_wrap=True)


def _of_pattern(
    pattern: str, shapes: list[tuple[int | None, ...]], mode: str | None
) -> Explanation:
    from convsmith.errors import ArgumentError, compose
    from convsmith.models.explaining import explained_pattern

    if not shapes:
        raise ArgumentError(
            compose(
                f"pattern '{pattern}'",
                "the sizes of its operands are missing",
                expected="--shape for each operand",
                fix="--shape 8,32,32,3 --shape 3,3,3,16",
            ),
            argument="shape",
        )
    return explained_pattern(pattern, *shapes, mode=mode)


def _of_file(
    path: Path, inputs: list[tuple[int | None, ...]], mode: str | None, effective: bool
) -> Explanation:
    from convsmith.models.explaining import explained
    from convsmith.models.loading import load

    model = load(path)
    given = inputs[0] if len(inputs) == 1 else inputs or None
    return explained(model, given, mode=mode, effective_field=effective)


def _shape(text: str, option: str) -> tuple[int | None, ...]:
    """Return the sizes in text such as ``1,?,?,3``.

    Raises:
        ArgumentError: it isn't that.
    """
    from convsmith.errors import ArgumentError, compose

    sizes: list[int | None] = []
    for part in text.replace("x", ",").split(","):
        word = part.strip()
        if word in ("?", "None"):
            sizes.append(None)
        elif word.isdecimal() and word.isascii():
            sizes.append(int(word))
        else:
            raise ArgumentError(
                compose(
                    f"{option} {text}",
                    f"{part!r} is no size",
                    expected="whole numbers with commas, and ? for what isn't known",
                    fix=f"{option} 1,224,224,3",
                ),
                argument=option,
                value=text,
            )
    return tuple(sizes)
