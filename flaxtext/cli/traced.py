"""What documents hold, in JAX: `text.features` and `model.tfidf` once more, for functions that are exported.

Documents are word ids in rows, `int32[n, width]` of any sizes, even such as are not known yet; below 0 for marks, and 0
for a word that the vocabulary lacks, whose letters are not known here, and for padding.
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
        prefixes: int32[words + 1]; rows of prefixes.
        characters: int32[words + 1, longest]; rows of n-grams of characters, 0 after the last.
    """

    prefixes: np.ndarray
    characters: np.ndarray


def tables_of(features: Features) -> Tables:
    """Look up what all words are made of. Raises `UserError` where the letters of the longest make that too large."""
    count = len(features.words)
    words = TokenIds(np.arange(count + 1, dtype=np.int32), np.arange(count + 2))
    prefixes = np.zeros(count + 1, np.int32)
    if features.reading.prefix is not None:
        prefixes = features.expand_words(words).rows.reshape(count + 1, features.reading.per_word)[:, 1]
    if not features.reading.characters:
        return Tables(prefixes, np.zeros((count + 1, 0), np.int32))
    found = features.expand_characters(words)
    longest = int(found.lengths.max())
    if (size := 4 * (count + 1) * longest) > MAX_BYTES:
        word = features.words[int(found.lengths.argmax()) - 1].as_py()
        raise UserError(
            f"the n-grams of characters of {count:,} words, up to {longest:,} each, would take {size >> 20:,} MB, and "
            f"{MAX_BYTES >> 20} are exported; raise build_vocab.min_count, so that words such as {word[:20]!r} go"
        )
    return Tables(prefixes, TokenIds(found.rows, found.offsets).padded(longest))


def expand(features: Features, tables: Tables, ids: jax.Array) -> jax.Array:
    """List the rows of all that documents hold, `int32[n, k]`, in the order of `Features.expand`, 0 for padding."""
    n, width = ids.shape
    is_mark = ids < 0
    words = jnp.where((ids > 0) & (ids <= len(features.words)), ids, 0)
    base = words if features.reading.prefix is None else jnp.asarray(tables.prefixes)[words]
    base = jnp.where(is_mark, ids, base)
    columns = [jnp.where(is_mark, _find(features, _mix(_unsigned(base)), is_mark), words)]
    if features.reading.prefix is not None:
        columns.append(base)
    key, present = _unsigned(base), base != 0
    for n_words in range(2, features.reading.ngrams + 1):
        following = jnp.pad(base, ((0, 0), (0, n_words - 1)))[:, n_words - 1 :]
        key = _mix(key * jnp.uint32(MULTIPLIER) + _unsigned(following))
        present &= following != 0
        columns.append(_find(features, key, present))
    rows = jnp.stack(columns, axis=-1).reshape(n, width * len(columns))
    longest = tables.characters.shape[1]
    if not longest:
        return rows
    characters = jnp.asarray(tables.characters)[words].reshape(n, width * longest)
    return jnp.concatenate([rows, characters], axis=1)


def weigh(rows: jax.Array, idf: jax.Array, first_character: int) -> Block:
    """Keep each distinct row of a document once, with its weight by TF-IDF, as `model.tfidf` does; others weigh 0."""
    rows = jnp.sort(rows, axis=1)
    places = jnp.broadcast_to(jnp.arange(rows.shape[1]), rows.shape)
    begins = rows != jnp.pad(rows, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    past = jnp.where(begins, places, rows.shape[1])  # where the next run begins, seen from its first place
    past = jnp.pad(past, ((0, 0), (0, 1)), constant_values=0)[:, 1:]
    past = past.at[:, -1].set(rows.shape[1])
    counts = jax.lax.cummin(past, axis=1, reverse=True) - places
    weights = jnp.where(begins & (rows > 0), (1 + jnp.log(counts.astype(jnp.float32))) * idf[rows], 0)
    is_character = rows >= first_character
    squares = [jnp.where(is_character == kind, weights**2, 0).sum(axis=1, keepdims=True) for kind in (False, True)]
    norms = jnp.sqrt(jnp.where(is_character, squares[1], squares[0]))
    return Block(jnp.where(weights > 0, rows, 0), weights / jnp.where(norms > 0, norms, 1))


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
