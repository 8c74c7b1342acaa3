"""A language model for llama.cpp of random weights: small, and the same each time it is written.

    python -m tests.servers.tiny_gguf tiny.gguf

Its vocabulary is printable ASCII in GPT-2's notation, two merged tokens and two control tokens:
whatever it says, each of its tokens is text. (Half of a character would not be sent.)
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

NAME = "tiny"
# The printable characters of ASCII; GPT-2 writes a blank as G, and a line's end as C, with a dot.
_SYMBOLS = ("\u0120", "\u010a", *map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True)
class Size:
    """The numbers of a Llama; by default some 11 MB, and hundreds of tokens a second of a core."""

    width: int = 256
    layers: int = 4
    hidden: int = 512
    heads: int = 4
    context: int = 4096


def write(path: Path, size: Size = Size(), *, seed: int = 0) -> Path:
    """The model, as a GGUF file at `path`."""
    writer = gguf.GGUFWriter(path, "llama")
    tokens = _describe(writer, size)
    random = np.random.default_rng(seed)

    def matrix(name: str, rows: int, columns: int) -> None:
        values = random.normal(0, 0.02, (rows, columns)).astype(np.float32)
        writer.add_tensor(f"{name}.weight", values)

    def ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(size.width, np.float32))

    matrix("token_embd", tokens, size.width)
    matrix("output", tokens, size.width)
    ones("output_norm")
    for layer in (f"blk.{n}" for n in range(size.layers)):
        for norm in ("attn_norm", "ffn_norm"):
            ones(f"{layer}.{norm}")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{layer}.{part}", size.width, size.width)
        for part in ("ffn_gate", "ffn_up"):
            matrix(f"{layer}.{part}", size.hidden, size.width)
        matrix(f"{layer}.ffn_down", size.width, size.hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter, size: Size) -> int:
    """The metadata; returns how many tokens the vocabulary has."""
    writer.add_name(NAME)
    writer.add_context_length(size.context)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.layers)
    writer.add_feed_forward_length(size.hidden)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(size.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(size.width // size.heads)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    texts = [*_SYMBOLS, "he", "th"]
    tokens = [*texts, "<s>", "</s>"]
    kinds = [gguf.TokenType.NORMAL] * len(texts) + [gguf.TokenType.CONTROL] * 2
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["h e", "t h"])
    writer.add_bos_token_id(len(texts))
    writer.add_eos_token_id(len(texts) + 1)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    return len(tokens)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
