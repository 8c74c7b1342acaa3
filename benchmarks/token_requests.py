"""What is asked of the stand-in of a language model."""

from tuner.load.profile import Endpoint
from tuner.load.requests import RequestSet
from tuner.protocols.openai import OpenAiOptions, request_set
from tuner.workload.prompts import Prompt

MODEL = "stand-in"


def token_requests(endpoint: Endpoint, *, output_tokens: int, counted: bool = True) -> RequestSet:
    """One chat, as `tuner measure` asks for it; with `counted` each event is to say the count."""
    prompt = Prompt.of("Tell me a story.", output_tokens=output_tokens)
    options = OpenAiOptions(model=MODEL, continuous_usage=counted)
    return request_set(endpoint, [prompt], options)
