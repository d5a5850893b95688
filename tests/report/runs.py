"""Small runs to report on, and the page as a browser's parser sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from dgmppl import pipeline
from dgmppl.lifecycle import ComputeOptions, train_spec

SPECS = {
    "vae": """\
model small_vae
observed x : binary[64] from threshold(digits.image, 8)
latent   z : real[3]
p(z)     = Normal(0, 1)
p(x | z) = Bernoulli(mlp[8](z))
q(z | x) = Normal(mlp[8](x))
train { epochs = 2, batch = 500 }
""",
    "shared": """\
model small_shared
observed x : real[2] from moons.point
observed y : categorical(2) from moons.label
latent w : real[2] per data
latent m : real[2] per y
latent z : real
p(w) = Normal(0, 1)
p(m) = Normal(0, 1)
p(z) = Normal(0, 1)
p(x | w, m, z) = Normal(m + z * w, param)
q(z | x) = Normal(mlp[8](x))
train { epochs = 2, batch = 500 }
""",
    "flow": """\
model small_flow
observed x : real[2] from moons.point
latent   u : real[2]
flow f = 2 * (coupling[mlp[8]] >> reverse)
p(u) = Normal(0, 1)
x    = f(u)
train { epochs = 3, batch = 500 }
""",
    "gan": """\
model small_gan
observed x : real[2] from moons.point
observed y : categorical(2) from moons.label
latent   z : real[2]
p(z) = Normal(0, 1)
x    = mlp[8](z, y)
adversary D(x, y) = mlp[8]
train { epochs = 1, batch = 500 }
""",
    "rbm": """\
model small_rbm
observed x : binary[4] from threshold(iris.data, 3)
latent   h : binary[3]
param    W : real[4, 3] = normal(0.01)
param    b : real[4]
E(x, h) = -x @ W @ h - b @ x
train { epochs = 2, batch = 50 }
""",
    "energy": """\
model small_energy
observed x : interval(-1, 1)[2] from rescale(moons.point, -1, 1)
E(x) = mlp[4](x)
train { epochs = 1, batch = 500 }
""",
    "partial": """\
model small_partial
observed x : real[2] from moons.point
partial  y : categorical(2) from labelled(moons.label, 100)
latent   z : real[2]
p(y)        = Categorical(param)
p(z)        = Normal(0, 1)
p(x | y, z) = Normal(mlp[8](y, z))
q(y | x)    = Categorical(mlp[8](x))
q(z | x, y) = Normal(mlp[8](x, y))
train { epochs = 1, batch = 500 }
""",
    "mean_field": """\
model small_mean_field
observed x : real[2] from moons.point
latent   z : real[4]
p(z)     = Normal(0, 1)
p(x | z) = Normal(mlp[8](z))
q(z)     = Normal(param, param)
train { epochs = 1, batch = 500 }
""",
    "hierarchy": """\
model small_hierarchy
observed x  : integer(0..16)[64] from digits.image
latent   z1 : real[4]
latent   z2 : real[2]
let r : real[8] = mlp[8](x)
p(z2)         = Normal(0, 1)
p(z1 | z2)    = Normal(mlp[8](z2))
p(x | z1)     = Categorical(mlp[8](z1))
q(z2 | x)     = Normal(linear(r))
q(z1 | z2, x) = residual(p(z1 | z2), linear(r))
train { epochs = 1, batch = 500 }
""",
}


def train(folder: Path, text: str, name: str = "run", overrides: tuple[str, ...] = ()) -> Path:
    spec = folder / f"{name}.dgm"
    spec.write_text(text)
    train_spec(pipeline.read(spec, overrides), folder / name, ComputeOptions("cpu"))
    return folder / name


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """Elements in order with their attributes and their own text."""

    elements: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in ("meta", "img", "br", "link", "input"):
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data

    def all(self, tag: str) -> list[Element]:
        return [e for e in self.elements if e.tag == tag]

    @property
    def text(self) -> str:
        return " ".join(e.text for e in self.elements if e.tag != "style")

    @property
    def ids(self) -> set[str]:
        return {e.attributes["id"] for e in self.elements if "id" in e.attributes}


def parse(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert not page._open, f"left open: {[e.tag for e in page._open]}"
    return page
