"""Arrays and probability distributions: mathematics that knows nothing of servers."""
