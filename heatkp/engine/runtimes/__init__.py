"""What runs a network: one file a runtime, named as its file, a class with `@register_runtime`.

`torch` is made of a `KeypointModel`. The others open a file that was exported
(`heatkp.engine.exported.ExportedBackend`). Each is a `heatkp.engine.Backend`. Other packages name
theirs in the entry points `heatkp.runtimes`.
"""
