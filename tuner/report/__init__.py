"""What a person sees of a study: tables for the terminal, one HTML file to keep."""
