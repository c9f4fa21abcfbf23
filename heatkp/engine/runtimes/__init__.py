"""What runs a network: one file a runtime, named as its file. It is a class with
`@register_runtime` and the attribute `name` that is made of a `KeypointModel` and is a
`heatkp.engine.Backend`. Other packages name theirs in the entry points `heatkp.runtimes`."""
