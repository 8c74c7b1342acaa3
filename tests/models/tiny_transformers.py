"""Models of random weights for servers that read a folder of Hugging Face's form.

    python tests/models/tiny_transformers.py llama FOLDER
    python tests/models/tiny_transformers.py bert FOLDER

It is run by the `python` of such a server's environment, which has the libraries.
"""

import sys
from pathlib import Path

import tokenizers
import torch
import transformers

_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,"


def llama(folder: Path) -> None:
    """A Llama of 5 MB whose tokens are bytes."""
    symbols = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    model = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=model, **special)
    tokenizer.chat_template = _TEMPLATE
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def bert(folder: Path) -> None:
    """A Bert of 4 layers whose tokens are letters."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_LETTERS]
    words += [f"##{letter}" for letter in _LETTERS]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
    )
    transformers.BertModel(config).save_pretrained(folder)


if __name__ == "__main__":
    torch.manual_seed(0)
    {"llama": llama, "bert": bert}[sys.argv[1]](Path(sys.argv[2]))
