"""A head, a decoder and a format of labels (reader and writer), each in a module of its own."""
