"""llama.cpp's server as a target."""
