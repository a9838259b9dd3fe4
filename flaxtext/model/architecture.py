"""What a model is, in one typed value: names, sizes and shapes follow from it and from nothing else."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from flaxtext.model.poolings import POOLINGS
from flaxtext.text.features import Reading

Parameters = dict[str, dict[str, Any]]
"""Layer -> name -> array, of JAX or of NumPy."""


MAX_WORDS = 2**15
"""Words of a document that count where nothing else is asked for: what bounds memory."""


MAX_CHARACTERS = 20
"""Letters of the longest n-gram of characters that can be asked for."""


@dataclass(frozen=True)
class Architecture:
    """A network; a linear model is one without layers, whose embeddings have the classes as dimensions.

    Attributes:
        rows: features that have parameters, row 0 (padding) included.
        classes: number of classes.
        pooling: how embeddings become one vector, a key of `POOLINGS`.
        embed_dim: size of an embedding.
        hidden: width of the dense layer between pooling and output; 0 for none.
        output: whether a dense layer maps to the classes; without it, the pooled vector's dimensions are the classes.
        max_len: words of a document that count; the rest is cut. None: `MAX_WORDS`.
        prefix, ngrams, marks, characters, vectors: what is read of a document, as `Reading` has it.
    """

    rows: int
    classes: int
    pooling: str
    embed_dim: int
    hidden: int = 0
    output: bool = True
    max_len: int | None = None
    prefix: int | None = None
    ngrams: int = 1
    marks: bool = False
    characters: int = 0
    vectors: bool = False

    @property
    def reading(self) -> Reading:
        """What is read of a document."""
        return Reading(self.prefix, self.ngrams, self.marks, self.characters, self.vectors)

    @property
    def words(self) -> int:
        """Words of a document that count."""
        return self.max_len or MAX_WORDS

    @property
    def weighs(self) -> bool:
        """Whether features are weighted, by TF-IDF."""
        return POOLINGS[self.pooling].weighs

    @property
    def positions(self) -> int | None:
        """Rows of a document, padding included, where its size counts; None where a document may have any."""
        return self.words * self.reading.per_word if POOLINGS[self.pooling].padded else None

    @property
    def pooled(self) -> int:
        """Size of the vector that pooling makes of a document."""
        return POOLINGS[self.pooling].parts(self.positions or 0) * self.embed_dim

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter, by its path, such as `hidden.kernel`, in the order that data meets them."""
        shapes: dict[str, tuple[int, ...]] = {"embedding.idf": (self.rows,)} if self.weighs else {}
        shapes |= {"embedding.embedding": (self.rows, self.embed_dim)}
        if self.hidden:
            shapes |= {"hidden.kernel": (self.pooled, self.hidden), "hidden.bias": (self.hidden,)}
        kernel = {"output.kernel": (self.hidden or self.pooled, self.classes)} if self.output else {}
        return shapes | kernel | {"output.bias": (self.classes,)}

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())


ARCHITECTURE = tuple(field.name for field in fields(Architecture) if field.name not in ("rows", "classes"))
"""What is told of an architecture; the rest follows from the vocabulary and the classes."""


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
