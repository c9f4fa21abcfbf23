"""Formats of exported networks, one a file."""
