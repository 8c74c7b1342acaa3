"""What a person reads: records in, text out."""
