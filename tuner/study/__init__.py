"""One study, from the request to the proof."""
