"""Kaggle's competitions of facial points: their forms and scores, and submissions to them."""
