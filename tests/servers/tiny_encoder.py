"""An encoder for llama.cpp of random weights (a BERT): it makes vectors of texts, and ranks them.

    python -m tests.servers.tiny_encoder encoder.gguf

Each letter of a text is a token, in the notation of llama.cpp's WordPiece: the first one of a word
has a mark before it. Two marks stand around a text.
"""

import sys
from pathlib import Path

import gguf
import numpy as np

WIDTH = 64
_LAYERS = 2
_HIDDEN = 128
_HEADS = 1
_CONTEXT = 2048
_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LETTERS = tuple(map(chr, range(0x21, 0x7F)))


def write(path: Path, *, seed: int = 0) -> Path:
    """The model, as a GGUF file at `path`."""
    writer = gguf.GGUFWriter(path, "bert")
    tokens = _describe(writer)
    random = np.random.default_rng(seed)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.normal(0, 0.1, shape).astype(np.float32))

    def linear(name: str, rows: int, columns: int) -> None:
        tensor(f"{name}.weight", rows, columns)
        tensor(f"{name}.bias", rows)

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
        tensor(f"{name}.bias", WIDTH)

    tensor("token_embd.weight", tokens, WIDTH)
    tensor("token_types.weight", 2, WIDTH)
    tensor("position_embd.weight", _CONTEXT, WIDTH)
    norm("token_embd_norm")
    for layer in (f"blk.{n}" for n in range(_LAYERS)):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            linear(f"{layer}.{part}", WIDTH, WIDTH)
        linear(f"{layer}.ffn_up", _HIDDEN, WIDTH)
        linear(f"{layer}.ffn_down", WIDTH, _HIDDEN)
        norm(f"{layer}.attn_output_norm")
        norm(f"{layer}.layer_output_norm")
    linear("cls", WIDTH, WIDTH)
    linear("cls.output", 1, WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter) -> int:
    """The metadata; returns how many tokens the vocabulary has."""
    writer.add_name("encoder")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_HIDDEN)
    writer.add_head_count(_HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    tokens = [*_MARKS, *(f"\u2581{each}" for each in _LETTERS), *_LETTERS]
    kinds = [gguf.TokenType.CONTROL] * len(_MARKS) + [gguf.TokenType.NORMAL] * 2 * len(_LETTERS)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    pad, unknown, begin, end, mask = range(len(_MARKS))
    writer.add_pad_token_id(pad)
    writer.add_unk_token_id(unknown)
    writer.add_bos_token_id(begin)
    writer.add_sep_token_id(end)
    writer.add_mask_token_id(mask)
    return len(tokens)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
