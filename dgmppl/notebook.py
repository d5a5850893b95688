"""Models in notebooks: a model shows the graph of its spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dgmppl.pipeline import Checked
    from dgmppl.runtime import GenerativeModel


def with_picture(model: GenerativeModel, checked: Checked) -> GenerativeModel:
    """The model, whose representation in a notebook is its graph as SVG."""
    graph = checked.graph
    assert graph is not None

    def _repr_svg_(_: GenerativeModel) -> str:
        from dgmppl.picture.graph import svg

        return svg(graph)

    # Notebooks look the method up on the class; each compiled model has a class of its own.
    type(model)._repr_svg_ = _repr_svg_  # type: ignore[attr-defined]
    return model
