"""What a model is, in one typed value: names, sizes and shapes follow from it and from nothing else."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flaxtext.model.poolings import POOLINGS

Parameters = dict[str, dict[str, Any]]
"""Layer -> name -> array, of JAX or of NumPy."""


@dataclass(frozen=True)
class Architecture:
    """A network, or a linear model where `pooling` is None.

    Attributes:
        rows: features that have parameters, row 0 (padding) included.
        classes: number of classes.
        max_len: words of a document that count; the rest is cut.
        prefix: letters of a prefix that is read beside each word; None for no prefixes.
        ngrams: words of the longest n-gram that is read; 1 for none.
        pooling: how embeddings become one vector, a key of `POOLINGS`.
        embed_dim: size of an embedding.
        hidden: width of the dense layer between pooling and output; 0 for none.
    """

    rows: int
    classes: int
    max_len: int
    prefix: int | None = None
    ngrams: int = 1
    pooling: str | None = None
    embed_dim: int = 0
    hidden: int = 0

    @property
    def is_linear(self) -> bool:
        """Whether it is TF-IDF and a linear model, and no network."""
        return self.pooling is None

    @property
    def per_word(self) -> int:
        """Ids that a word of a document becomes: its own, its prefix's, and those of the n-grams that begin there."""
        return 1 + (self.prefix is not None) + (self.ngrams - 1)

    @property
    def positions(self) -> int:
        """Ids of a document, padding included."""
        return self.max_len * self.per_word

    @property
    def pooled(self) -> int:
        """Size of the vector that pooling makes of a document."""
        return POOLINGS[self.pooling].parts(self.positions) * self.embed_dim if self.pooling else 0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter, by its path, such as `hidden.kernel`, in the order that data meets them."""
        if self.is_linear:
            return {
                "linear.temperature": (),
                "linear.kernel": (self.rows, self.classes),
                "linear.idf": (self.rows,),
                "linear.bias": (self.classes,),
            }
        shapes: dict[str, tuple[int, ...]] = {"embedding.embedding": (self.rows, self.embed_dim)}
        if self.hidden:
            shapes |= {"hidden.kernel": (self.pooled, self.hidden), "hidden.bias": (self.hidden,)}
        inputs = self.hidden or self.pooled
        return shapes | {"output.kernel": (inputs, self.classes), "output.bias": (self.classes,)}

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def flatten_parameters(parameters: Parameters) -> dict[str, Any]:
    """Name parameters by their path, in the order of `Architecture.shapes`."""
    return {
        f"{layer}.{name}": parameters[layer][name]
        for layer in sorted(parameters)  # embedding, hidden, output
        for name in sorted(parameters[layer], reverse=True)  # kernel before bias
    }


def unflatten_parameters(named: Mapping[str, Any]) -> Parameters:
    """Undo `flatten_parameters`."""
    parameters: Parameters = {}
    for path, array in named.items():
        layer, name = path.split(".")
        parameters.setdefault(layer, {})[name] = array
    return parameters
