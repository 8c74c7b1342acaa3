"""What language models are asked: prompts and how long their answers may be."""
