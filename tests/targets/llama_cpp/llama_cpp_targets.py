"""llama.cpp's server as a target, out of the wheel, with a tiny model."""

from dataclasses import replace
from pathlib import Path

from tests.targets.served import Served
from tuner import hardware
from tuner.protocols.openai import OpenAiOptions
from tuner.protocols.openai_form import OpenAiForm
from tuner.protocols.openai_task import Task
from tuner.space import spec
from tuner.space.resolution import search_space
from tuner.space.space import SearchSpace
from tuner.targets.base import Installation, TargetSetup
from tuner.targets.llama_cpp.install import find_llama_server
from tuner.targets.llama_cpp.model import LlamaCppModel
from tuner.targets.llama_cpp.target import LlamaCppTarget
from tuner.targets.llama_cpp.texts import fit_space
from tuner.targets.request_form import RequestForm
from tuner.workload.lengths import Constant
from tuner.workload.synthetic import SyntheticForm


def built_in_space() -> SearchSpace:
    """The shipped space on this machine."""
    return search_space(spec.built_in()["llama_cpp"], hardware.detect().bounds)


def asking(prompt: int = 16, output: int = 4, *, task: Task = Task.CHAT) -> RequestForm:
    """Prompts and answers of so many tokens."""
    prompts = OpenAiForm(
        options=OpenAiOptions(task=task, streaming=task.generates),
        synthetic=SyntheticForm(prompt=Constant(prompt), output=Constant(output), count=4),
    )
    return RequestForm(prompts=prompts).of_prompts("llama.cpp")


def served(
    folder: Path,
    *,
    form: RequestForm | None = None,
    variants: tuple[str, ...] = (),
    installation: Installation | None = None,
    encoder: bool = False,
) -> Served[LlamaCppTarget]:
    """The model `tiny`; `variants` lie beside it, each with weights of its own."""
    from tests.servers import tiny_encoder, tiny_gguf  # they need what may be missing

    form = form or asking()
    write = tiny_encoder.write if encoder else tiny_gguf.write
    (folder / "models").mkdir()
    files = [
        write(folder / "models" / f"{name}.gguf", seed=seed)
        for seed, name in enumerate(("tiny", *variants))
    ]
    model = LlamaCppModel(files[0], [LlamaCppModel(each) for each in files[1:]])
    space = fit_space(model, model.adapt(built_in_space(), contained=False), form)
    target = LlamaCppTarget(
        model,
        space,
        TargetSetup(workspace=folder, form=form, start_timeout_s=30.0),
        installation or find_llama_server(contained=False),
    )
    target.stage()
    return Served(target, space, folder)


def limited(installation: Installation, *, bytes_: int) -> Installation:
    """The same program, which may have so much memory (setrlimit(2), RLIMIT_AS)."""
    flags = (f"--as={bytes_}", str(installation.executable), *installation.flags)
    return replace(installation, executable=Path("prlimit"), flags=flags)
