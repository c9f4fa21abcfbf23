"""Sweeps: many runs over a space of settings, shared and resumed through an Optuna study."""
