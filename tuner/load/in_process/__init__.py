"""A Triton in the engine's own process, asked through its C API: no network, no front end."""
