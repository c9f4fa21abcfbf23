"""What runs a network: one runtime a file. Other packages name theirs in `heatkp.runtimes`."""
