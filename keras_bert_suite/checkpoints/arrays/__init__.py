"""The containers that checkpoints come in, read without trust: which arrays a file holds, and each when asked for."""
