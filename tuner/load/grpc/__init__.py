"""Unary and streaming gRPC from prepared bytes."""
