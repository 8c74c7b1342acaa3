"""TensorFlow Serving; experimental: no real one was at hand."""
