"""What is searched of llama.cpp's server where vectors are asked for, or ranks."""

from pathlib import Path

from tests.targets.llama_cpp.llama_cpp_targets import asking, built_in_space
from tests.targets.llama_cpp.test_model import gguf
from tuner.protocols.openai_task import Task
from tuner.space.expressions import Value
from tuner.space.space import SearchSpace
from tuner.targets.catalog import server_kind
from tuner.targets.llama_cpp.model import LAST, LlamaCppModel
from tuner.targets.llama_cpp.texts import environment, flags

MEAN = 1
OF_ANSWERS = {
    *("batch_size", "threads", "cont_batching"),
    *("cache_prompt", "cache_ram", "spec_type"),
}
OF_MEMORY = {"cache_type_k", "cache_type_v"}


def searched(file: Path, length: int = 16, *, task: Task = Task.EMBEDDINGS) -> SearchSpace:
    """What is left of the shipped space for texts of that length."""
    return searched_of(LlamaCppModel(file), length, task=task)


def searched_of(
    model: LlamaCppModel, length: int = 16, *, task: Task = Task.EMBEDDINGS
) -> SearchSpace:
    """The same of a model that may have further forms."""
    fit_space = server_kind("llama_cpp").fit_space
    return fit_space(model, built_in_space(), asking(length, task=task))


def left_out(space: SearchSpace) -> set[str]:
    return {p.name for p in built_in_space().parameters} - {p.name for p in space.parameters}


def sizes(space: SearchSpace) -> set[Value]:
    """The micro-batches that the rules allow."""
    configurations = (
        space.activate({"ubatch_size": size}) for size in space["ubatch_size"].choices or ()
    )
    return {each["ubatch_size"] for each in configurations if not space.violations(each)}


def test_where_answers_are_asked_for_all_is(tmp_path: Path) -> None:
    """The space of a chat stays as it is."""
    assert searched(gguf(tmp_path / "m.gguf"), task=Task.CHAT) == built_in_space()


def test_what_is_about_answers_is_not(tmp_path: Path) -> None:
    """And of an encoder nor what is about keys and values, which it does not keep."""
    assert left_out(searched(gguf(tmp_path / "m.gguf", pooling=MEAN))) == OF_ANSWERS
    encoder = gguf(tmp_path / "m.gguf", pooling=MEAN, causal=False)
    assert left_out(searched(encoder)) == OF_ANSWERS | OF_MEMORY


def test_a_text_fits_into_a_micro_batch(tmp_path: Path) -> None:
    """A smaller one would refuse it; a default that is too small is another one."""
    file = gguf(tmp_path / "m.gguf", pooling=MEAN)
    # With four marks around each text, and what two serial numbers may take.
    for length, task, default, allowed in (
        (224, Task.EMBEDDINGS, 512, {256, 512, 1024, 2048}),
        (225, Task.EMBEDDINGS, 512, {512, 1024, 2048}),
        (480, Task.EMBEDDINGS, 512, {512, 1024, 2048}),
        (481, Task.EMBEDDINGS, 1024, {1024, 2048}),
        (300, Task.RERANK, 1024, {1024, 2048}),
        (3000, Task.EMBEDDINGS, 4096, {4096}),
    ):
        space = searched(file, length, task=task)
        assert (space.defaults["ubatch_size"], sizes(space)) == (default, allowed)
        # Where one is left, a study says so.
        settled = {name: value for name, value, _ in space.settled}
        assert settled == ({"ubatch_size": default} if len(allowed) == 1 else {})
    # The texts that all are compared on fit in any case.
    assert sizes(searched(file, 16)) == {128, 256, 512, 1024, 2048}


def test_a_model_that_computes_texts_in_parts(tmp_path: Path) -> None:
    """Where the last token stands for the text, its beginning may be known, and come before."""
    file = gguf(tmp_path / "m.gguf", pooling=LAST)
    space = searched(file, 600)
    assert left_out(space) == OF_ANSWERS - {"cache_prompt"}
    assert (space.defaults["ubatch_size"], min(sizes(space))) == (512, 32)
    # To rank texts it computes each at once.
    assert left_out(searched(file, task=Task.RERANK)) == OF_ANSWERS


def test_forms_of_a_model_that_differ(tmp_path: Path) -> None:
    """What matters to any of them is searched, and a micro-batch is large enough for each."""
    parts = LlamaCppModel(gguf(tmp_path / "a.gguf", pooling=LAST))
    encoder = LlamaCppModel(gguf(tmp_path / "b.gguf", pooling=MEAN, causal=False))
    for first, other in ((parts, encoder), (encoder, parts)):
        space = searched_of(LlamaCppModel(first.file, [other]), 600)
        assert left_out(space) == OF_ANSWERS - {"cache_prompt"}
        assert (space.defaults["ubatch_size"], min(sizes(space))) == (1024, 1024)


def test_a_server_that_keeps_no_texts() -> None:
    """By a variable, which one that does not know of such a memory passes over."""
    assert environment(Task.RERANK) == {"LLAMA_ARG_CACHE_RAM": "0"}
    assert environment(Task.CHAT) == {}


def test_a_batch_is_a_micro_batch(tmp_path: Path) -> None:
    """The server's own batch of 2048 tokens would make a larger micro-batch smaller."""
    model = LlamaCppModel(gguf(tmp_path / "m.gguf", pooling=MEAN))
    settings = built_in_space().settings({"ubatch_size": 4096})
    said = flags(Task.RERANK, model, settings)
    assert said == ["--reranking", "--batch-size", "4096"]
    assert flags(Task.CHAT, model, settings) == []


def test_a_model_that_does_not_say_what_its_vectors_are(tmp_path: Path) -> None:
    """The mean of the vectors of its tokens is taken, which is said of each of its forms."""
    model = LlamaCppModel(gguf(tmp_path / "m.gguf"))
    told = flags(Task.EMBEDDINGS, model, built_in_space().settings({}))
    assert told == ["--embeddings", "--pooling", "mean"]
    says = LlamaCppModel(gguf(tmp_path / "says.gguf", pooling=MEAN), [model])
    for each in (model, says):
        [remark] = each.remarks(asking(task=Task.EMBEDDINGS))
        assert remark == (
            "m does not say how the vectors of its tokens become one: their mean is taken "
            "(`--pooling mean`)"
        )
