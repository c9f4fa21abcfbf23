"""Models for the Hugging Face hub: a folder of weights, settings and a model card; and uploading.

Fetching is `heatkp.runs.hub`'s.
"""

from heatkp.hub.publishing import push_model, save_model

__all__ = ["push_model", "save_model"]
