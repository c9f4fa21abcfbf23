"""Training with PyTorch Lightning: the module, what happens around it, and a whole run."""
