"""What documents hold, in JAX: `text.features` and `model.tfidf` once more, for functions that are exported.

Documents are word ids in rows, `int32[n, width]` of any sizes, even such as are not known yet: below 0 for marks, and 0
for padding and for a word that the vocabulary lacks, whose letters are not known here.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flaxtext.core.errors import UserError
from flaxtext.model.forward import Block
from flaxtext.text.features import MULTIPLIER, Features
from flaxtext.text.token_ids import TokenIds

MAX_BYTES = 2**29
"""Of a table of what words are made of."""


class Tables(NamedTuple):
    """What each word is made of, by id; there is nothing in padding, id 0.

    Attributes:
        words, prefixes, vectors: int32[words + 1]; rows, 0 for none.
        characters: int32[words + 1, longest]; rows of n-grams of characters, 0 after the last.
    """

    words: np.ndarray
    prefixes: np.ndarray
    vectors: np.ndarray
    characters: np.ndarray


def tables_of(features: Features) -> Tables:
    """Look up what all words are made of. Raises `UserError` where the letters of the longest make that too large."""
    count = len(features.words)
    each = TokenIds(np.arange(count + 1, dtype=np.int32), np.arange(count + 2))
    rows = features.expand_words(each).rows.reshape(count + 1, features.reading.per_word)
    found = features.expand_characters(each)
    longest = int(found.lengths.max())
    if (size := 4 * (count + 1) * longest) > MAX_BYTES:
        word = features.words[int(found.lengths.argmax()) - 1].as_py()
        raise UserError(
            f"the n-grams of characters of {count:,} words, up to {longest:,} each, would take {size >> 20:,} MB, and "
            f"{MAX_BYTES >> 20} are exported; raise build_vocab.min_count, so that words such as {word[:20]!r} go"
        )
    prefixes = rows[:, 1 if features.reading.prefix is not None else 0]
    return Tables(rows[:, 0], prefixes, rows[:, -1], TokenIds(found.rows, found.offsets).padded(longest))


def expand(features: Features, tables: Tables, ids: jax.Array) -> jax.Array:
    """List the rows of all that documents hold, `int32[n, k]`, in the order of `Features.expand`, 0 for padding."""
    reading, (n, width) = features.reading, ids.shape
    is_mark = ids < 0
    known = jnp.where((ids > 0) & (ids <= len(features.words)), ids, 0)
    rows = jnp.asarray(tables.prefixes)[known]
    base = rows if reading.prefix is None else jnp.maximum(rows - features.n_known, 0)
    base = jnp.where(is_mark, ids, base)
    columns = [jnp.where(is_mark, _find(features, _mix(_unsigned(base)), is_mark), jnp.asarray(tables.words)[known])]
    if reading.prefix is not None:
        columns.append(rows)
    key, present = _unsigned(base), base != 0
    for n_words in range(2, reading.ngrams + 1):
        following = jnp.pad(base, ((0, 0), (0, n_words - 1)))[:, n_words - 1 :]
        key = _mix(key * jnp.uint32(MULTIPLIER) + _unsigned(following))
        present &= following != 0
        columns.append(_find(features, key, present))
    if reading.vectors:
        columns.append(jnp.asarray(tables.vectors)[known])
    found = jnp.stack(columns, axis=-1).reshape(n, width * len(columns))
    longest = tables.characters.shape[1]
    if not longest:
        return found
    characters = jnp.asarray(tables.characters)[known].reshape(n, width * longest)
    return jnp.concatenate([found, characters], axis=1)


def weigh(rows: jax.Array, idf: jax.Array, features: Features) -> Block:
    """Weigh each distinct row of a document once by TF-IDF, as `model.tfidf` does; others become padding."""
    rows = jnp.sort(rows, axis=1)
    places = jnp.broadcast_to(jnp.arange(rows.shape[1]), rows.shape)
    begins = rows != jnp.pad(rows, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    # Where the run of a row ends: where the next begins, seen from its first place.
    ends = jnp.pad(jnp.where(begins, places, rows.shape[1])[:, 1:], ((0, 0), (0, 1)), constant_values=0)
    ends = jax.lax.cummin(ends.at[:, -1].set(rows.shape[1]), axis=1, reverse=True)
    counts = (ends - places).astype(jnp.float32)
    is_character, is_vector = rows >= features.first_character, rows >= features.first_vector
    weights = jnp.where(is_vector, counts, 1 + jnp.log(counts)) * idf[rows]
    weights = jnp.where(begins & (rows > 0), weights, 0)
    norms = jnp.where(is_vector, _total(weights, is_vector), 0)
    for own in (~is_character, is_character & ~is_vector):
        norms = jnp.where(own, jnp.sqrt(_total(weights**2, own)), norms)
    return Block(jnp.where(weights > 0, rows, 0), weights / jnp.where(norms > 0, norms, 1))


def _total(values: jax.Array, own: jax.Array) -> jax.Array:
    return jnp.where(own, values, 0).sum(axis=1, keepdims=True)


def _find(features: Features, hashes: jax.Array, present: jax.Array) -> jax.Array:
    """Look hashes up among those of the n-grams: their rows, 0 where none is, or not `present`."""
    if not len(features.ngrams):
        return jnp.zeros(hashes.shape, jnp.int32)
    keys = jnp.asarray(features.ngrams)
    place = jnp.minimum(jnp.searchsorted(keys, hashes), len(features.ngrams) - 1)
    return jnp.where(present & (keys[place] == hashes), features.first_ngram + place, 0).astype(jnp.int32)


def _mix(key: jax.Array) -> jax.Array:
    key = (key ^ (key >> 16)) * jnp.uint32(0x85EBCA6B)
    key = (key ^ (key >> 13)) * jnp.uint32(0xC2B2AE35)
    return key ^ (key >> 16)


def _unsigned(ids: jax.Array) -> jax.Array:
    return jax.lax.bitcast_convert_type(ids, jnp.uint32)
