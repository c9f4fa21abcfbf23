"""The trials of Part 3 are settings that can be read, each from the run that it says."""

from __future__ import annotations

from heatkp.config import load_settings


def flags(arguments):
    """`--set` values and the short flags of `heatkp train`, as settings files are changed."""
    short = {"--head": "head.name", "--epochs": "trainer.epochs", "--teacher": "teacher.models"}
    pairs = list(zip(arguments[::2], arguments[1::2], strict=True))
    assert pairs[0][0] == "--config"
    return pairs[0][1], [v if k == "--set" else f"{short[k]}={v}" for k, v in pairs[1:]]


def test_trials(script, monkeypatch, tmp_path):
    monkeypatch.setenv("HEATKP_DATA", "/data")
    part3 = script("part3")
    for name in part3.NAMES:
        config, changes = flags(part3.arguments(name, tmp_path))
        settings = load_settings(config, changes)
        assert ("regression" in name) == (settings.head.name == "regression")
        if name in part3.SECOND:
            assert settings.model.init == str(tmp_path / part3.SECOND[name][1])
            assert settings.data.first_pixel == 1 and settings.head.name == "ce"
            assert bool(settings.teacher.models) == (name == "student")
        elif name in part3.STARTED:
            assert settings.model.init == str(tmp_path / part3.STARTED[name][0])
            assert tuple(settings.data.size) == (192, 192)
        else:
            assert settings.model.init is None
    for group in part3.GROUPS.values():
        assert set(group) <= set(part3.NAMES)
