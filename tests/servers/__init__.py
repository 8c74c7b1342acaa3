"""Real model servers, and what stands before them, each as a context manager that cleans up."""
