"""A tokenizer in a folder, for tools that cannot do without one: each byte is a token."""

import json
from pathlib import Path

_END = "</s>"
_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"


def write(folder: Path) -> Path:
    """As `transformers` reads it (`AutoTokenizer.from_pretrained`)."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = _byte_symbols()
    end = {"id": len(symbols), "content": _END, "special": True, "normalized": False}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    pieces = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    model = {"type": "BPE", "vocab": {each: n for n, each in enumerate(symbols)}, "merges": []}
    document = {
        "version": "1.0",
        "added_tokens": [end | flags],
        "pre_tokenizer": pieces | {"use_regex": True},
        "decoder": pieces | {"use_regex": True},
        "model": model,
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 100_000,
        "eos_token": _END,
        "pad_token": _END,
        "chat_template": _TEMPLATE,
    }
    (folder / "tokenizer.json").write_text(json.dumps(document))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _byte_symbols() -> list[str]:
    """GPT-2's alphabet: a visible character for each byte."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(256 + n) for n in range(len(others))]
