"""Prediction of many inputs in shards: by many processes, on many machines, with restarts.

The folder of a prediction, which shards share:

    manifest.json                what is predicted, of what, into how many shards
    shards/0001-of-0100/
        lock                     held while a process works on the shard
        inputs.jsonl             the shard's own inputs by name, a JSON string a line
        part-000000.jsonl ...    results: a JSON object a line (`parts`)
        errors.jsonl             what could not be used; there once the shard is done
"""

from __future__ import annotations

from heatkp.inference.sharding.inputs import ShardInputs, list_inputs
from heatkp.inference.sharding.merging import merge_shards
from heatkp.inference.sharding.predicting import ShardSummary, predict_shard
from heatkp.inference.sharding.shard import Shard

__all__ = [
    "Shard",
    "ShardInputs",
    "ShardSummary",
    "list_inputs",
    "merge_shards",
    "predict_shard",
]
