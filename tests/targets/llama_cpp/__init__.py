"""llama.cpp as a target."""
