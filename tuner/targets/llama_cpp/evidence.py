"""What shows that a llama.cpp server has its settings: what it says, does and logs.

Sources: llama.cpp's tools/server/README.md (`/props`, `/slots`); the lines that
`--log-verbosity 4` adds while the model is loaded, of `llama_context`, `llama_kv_cache`,
`system_info` and `load_tensors`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tuner.clients.llama_cpp import LlamaSettings
from tuner.records import SettingVerdict
from tuner.space.expressions import Value, value_text
from tuner.space.settings import ServerFlag, Setting
from tuner.targets.process_proofs import ACCEPTED, CONFIRMED, command_lines, judged, refuted
from tuner.targets.variants import variant_verdict

CACHE_PROMPT = "--cache-prompt/--no-cache-prompt"
PARALLEL = "--parallel"

# Where the log says the value of a flag.
_IN_LOG: Mapping[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "--batch-size": r"llama_context: n_batch\s+= (\w+)",
        "--ubatch-size": r"llama_context: n_ubatch\s+= (\w+)",
        "--threads": r"system_info: n_threads = (\d+)",
        "--threads-batch": r"system_info: .*\(n_threads_batch = (\d+)\)",
        "--threads-http": r"using (\d+) threads for HTTP server",
        "--flash-attn": r"llama_context: flash_attn\s+= (\w+)",
        "--cache-type-k": r"llama_kv_cache: .*\bK \((\w+)\)",
        "--cache-type-v": r"llama_kv_cache: .*\bV \((\w+)\)",
        "--cache-ram": r"prompt cache is (?:enabled, size limit: )?(disabled|\d+)",
        "--load-mode": r"load_tensors: .*\(load_mode = ([\w+]+)\)",
        "--kv-unified/--no-kv-unified": r"llama_context: kv_unified\s+= (\w+)",
        "--spec-type": r"adding speculative implementation '([\w-]+)'",
    }.items()
}
# What it says there in other words than the command line.
_WORDS: Mapping[tuple[str, str], str] = {
    ("--flash-attn", "enabled"): "on",
    ("--flash-attn", "disabled"): "off",
    ("--cache-ram", "disabled"): "0",
}
_CONTEXT_IN_LOG = re.compile(r"llama_context: n_ctx\s+= (\d+)")


@dataclass(frozen=True, kw_only=True)
class LlamaCppEvidence:
    """What can be known of a running server.

    Attributes:
        settings: Those that it says at `/props`.
        log: The beginning of its log.
        pid: Its first process.
        context: The tokens of context that it was given; 0 is the model's own number.
        files: The file of each form of the model.
        reuses: Whether it knew a prompt again; None if it was not asked.
    """

    settings: LlamaSettings
    log: str
    pid: int
    context: int
    files: Mapping[str, str]
    reuses: bool | None = None

    def verdict(self, sets: Setting, value: Value) -> SettingVerdict:
        # A flag by its whole name: that of a pair has two.
        name = sets.name if isinstance(sets, ServerFlag) else ""
        return judged(
            sets,
            value,
            self.pid,
            flag=lambda _, asked: self._flag(name, asked),
            property=lambda _, __: self._context(),
            variant=lambda _, form: self._variant(form),
        )

    def _flag(self, name: str, value: Value) -> SettingVerdict:
        found = self._found(name)
        if found is None:
            return self._given(name)
        if found == value_text(value):
            return CONFIRMED
        return refuted(f"the server has {name.partition('/')[0]} {found}")

    def _found(self, name: str) -> str | None:
        """The value that the server has; None where nothing shows that."""
        if name == PARALLEL:
            return str(self.settings.slots)
        if name == CACHE_PROMPT:
            return None if self.reuses is None else value_text(self.reuses)
        pattern = _IN_LOG.get(name)
        said = pattern.search(self.log) if pattern else None
        return _WORDS.get((name, said[1]), said[1]) if said else None

    def _given(self, name: str) -> SettingVerdict:
        """Whether the server was started with the flag, which shows no effect."""
        on, slash, off = name.partition("/-")
        lines = command_lines(self.pid)
        known = {on, f"-{off}"} if slash else {on}
        if lines and not any(known & set(words) for _, words in lines):
            return refuted(f"no process of the server was started with {on}")
        return ACCEPTED

    def _context(self) -> SettingVerdict:
        said = _CONTEXT_IN_LOG.search(self.log)
        if said is None or not self.context:
            return ACCEPTED
        if int(said[1]) == self.context:
            return CONFIRMED
        return refuted(f"the server has a context of {said[1]} tokens")

    def _variant(self, form: Value) -> SettingVerdict:
        names = {file: name for name, file in self.files.items()}
        served = self.settings.model_file
        return variant_verdict(form, names.get(served, served))
