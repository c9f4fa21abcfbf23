"""A head, a decoder and a format for heatkp, each in a module of its own."""
