"""A head, a decoder and a format of labels (reader and writer) for heatkp, each in a module of its own."""
