"""What a configuration says of a server's start: its environment and its flags."""

from dataclasses import replace

from tests.spaces import choice
from tuner.space.settings import EnvironmentVariables, ServerFlag, ServerProperty, Setting
from tuner.space.space import Configuration, SearchSpace
from tuner.targets import launch_settings

SETTINGS: dict[str, Setting] = {
    "allocator": EnvironmentVariables(("LD_PRELOAD",), omit="default"),
    "http_threads": ServerFlag("--http-thread-count", omit=0),
    "openmp": EnvironmentVariables(("LD_PRELOAD",), omit="default"),
    "queue": ServerProperty("job_queue_size"),
    "strict": ServerFlag("--strict"),
    "threads": EnvironmentVariables(("OMP_NUM_THREADS", "MKL_NUM_THREADS")),
}
SPACE = SearchSpace(
    "", tuple(replace(choice(0, name=name), sets=sets) for name, sets in SETTINGS.items())
)
BOTH = Configuration.of({"allocator": "libjemalloc.so.2", "openmp": "libiomp5.so"})


def test_each_variable_gets_its_value() -> None:
    """All variables of a parameter get its value, but not what is to be omitted."""
    configuration = Configuration.of({"threads": 2, "allocator": "default", "queue": 5})
    assert launch_settings.environment(SPACE.settings(configuration)) == {
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
    }


def test_several_libraries_are_preloaded() -> None:
    """Of several parameters that preload a library, none takes another one's place."""
    preloaded = launch_settings.environment(SPACE.settings(BOTH))
    found = launch_settings.environment(SPACE.settings(BOTH), library=lambda name: f"/lib/{name}")
    assert preloaded == {"LD_PRELOAD": "libjemalloc.so.2:libiomp5.so"}
    assert found == {"LD_PRELOAD": "/lib/libjemalloc.so.2:/lib/libiomp5.so"}


def test_flags() -> None:
    """Flags carry their values as servers write them; what is to be omitted is not said."""
    said = Configuration.of({"http_threads": 8, "strict": True, "threads": 1})
    assert SPACE.settings(said).arguments == ("--http-thread-count=8", "--strict=true")
    assert SPACE.settings({"http_threads": 0}).arguments == ()
