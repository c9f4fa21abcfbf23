"""Folders for the hub, their cards, and what is uploaded."""

from __future__ import annotations

import json
import re

import huggingface_hub
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import heatkp as library
from heatkp.config import load_settings
from heatkp.errors import CheckpointError, SettingsError
from heatkp.hub.about import About, public_settings
from heatkp.hub.card import model_card
from heatkp.runs import METRICS, WEIGHTS, load_run, read_weights
from tests.conftest import heatkp, write_image


def parts_of(card):
    """The header's values, and the sections' texts by their titles."""
    _, header, body = card.split("---\n", 2)
    sections = re.split(r"^## (.+)$", body, flags=re.M)
    return yaml.safe_load(header), dict(zip(sections[1::2], sections[2::2]))


def test_a_folder_is_loaded_as_the_run(tiny_run, tmp_path):
    image = write_image(tmp_path / "a.png")
    model = library.load_model(tiny_run, "cpu")
    assert model.save_pretrained("shared", license="cc-by-4.0").name == "shared"
    assert {p.name for p in (tmp_path / "shared").iterdir()} == {
        WEIGHTS, "config.json", "README.md",
    }  # fmt: skip
    other = library.load_model("shared", "cpu")
    np.testing.assert_array_equal(other.predict(image)[0].points, model.predict(image)[0].points)
    # It still knows what it was trained and validated on, and when its weights were chosen.
    own, theirs = (read_weights(path / WEIGHTS)[1] for path in (tiny_run, tmp_path / "shared"))
    for key in ("training", "validation", "progress", "skeleton"):
        assert own[key] == theirs[key]
    with pytest.raises(SettingsError, match="exists already"):
        model.save_pretrained("shared")
    (tmp_path / "shared" / "notes.txt").write_text("mine")
    model.save_pretrained("shared", overwrite=True)
    assert (tmp_path / "shared" / "notes.txt").read_text() == "mine"


def test_the_card_says_what_the_run_says(tiny_run, tmp_path):
    result = heatkp("push", tiny_run, "ann/drawn", "--licence", "cc-by-4.0", "--folder", "shared")
    assert result.exit_code == 0, result.output
    metrics = json.loads((tiny_run / METRICS).read_text())
    header, sections = parts_of((tmp_path / "shared" / "README.md").read_text())
    assert header["library_name"] == "heatkp" and header["license"] == "cc-by-4.0"
    assert header["pipeline_tag"] == "keypoint-detection" and "heatkp" in header["tags"]
    nme = metrics["normalised"]["inter-ocular"]["nme"]
    assert f"| NME, inter-ocular | {nme:.2%} |" in sections["How good it is"]
    assert "12 images" in sections["How good it is"]
    assert "| training samples | 24 |" in sections["Data"]
    assert "12 other drawn faces" in sections["Data"]
    assert "softargmax" in sections["How it was trained"]
    assert "cc-by-4.0" in sections["Licence"]
    assert "`nose_tip`" in sections["What it finds"]
    assert 'load_model("hf://ann/drawn")' in sections["How to use it"].replace("'", '"')
    config = json.loads((tmp_path / "shared" / "config.json").read_text())
    assert config["metrics"]["normalised"]["inter-ocular"]["nme"] == pytest.approx(nme)
    assert config["settings"]["trainer"]["epochs"] == 2 and config["license"] == "cc-by-4.0"
    assert config["heatkp"] == library.__version__
    assert len(config["skeleton"]["point_names"]) == 68


def test_how_to_use_it_can_be_used(tiny_run, tmp_path, monkeypatch):
    write_image(tmp_path / "image.jpg")
    library.load_model(tiny_run, "cpu").save_pretrained("my model")
    use = parts_of((tmp_path / "my model" / "README.md").read_text())[1]["How to use it"]
    (snippet,) = re.findall(r"```python\n(.*?)```", use, re.S)
    assert len(snippet.strip().splitlines()) <= 5
    exec(compile(snippet, "README.md", "exec"), {})
    import shlex

    (command,) = re.findall(r"```bash\n(.*?)```", use, re.S)
    result = heatkp(*shlex.split(command)[1:])
    assert result.exit_code == 0, result.output


def test_without_a_license_or_metrics_that_is_said(tiny_run, tmp_path):
    network = load_run(tiny_run).model
    names = [f"p{i}" for i in range(68)]
    library.Predictor(network, names=names).save_pretrained("shared")
    header, sections = parts_of((tmp_path / "shared" / "README.md").read_text())
    assert "license" not in header and "not stated" in sections["Licence"]
    assert "Not measured" in sections["How good it is"]
    assert "not known" in sections["Intended use and limits"]


def test_metrics_are_not_those_of_another_checkpoint(tiny_run, tmp_path):
    last = tiny_run / "checkpoints" / "last.ckpt"
    library.load_model(last, "cpu").save_pretrained("shared")
    assert json.loads((tmp_path / "shared" / "config.json").read_text())["metrics"] is None


def test_face68_keeps_its_terms(tmp_path):
    result = heatkp("push", "face68", "ann/faces", "--license", "apache-2.0", "--folder", "faces")
    assert result.exit_code == 0, result.output
    card = (tmp_path / "faces" / "README.md").read_text()
    header, sections = parts_of(card)
    assert header["license"] == "other"
    assert "for research only" in sections["Licence"] and "face68" in sections["Licence"]
    assert "3.01 %" in card  # its own figures


@pytest.mark.parametrize("how", ["transfer", "teacher"])
def test_what_was_trained_from_face68_keeps_its_terms(tiny_run, tmp_path, how):
    loaded = load_run(tiny_run)
    if how == "teacher":
        loaded.settings.teacher.models = ["face68"]
    else:
        loaded.settings.model.transfer = "face68"
    library.Predictor(loaded).save_pretrained("shared", license="mit")
    header, sections = parts_of((tmp_path / "shared" / "README.md").read_text())
    assert header["license"] == "other" and "for research only" in sections["Licence"]


def test_no_folders_of_this_computer_are_published(tiny_run, tmp_path):
    loaded = load_run(tiny_run)
    data = loaded.settings.data
    data.path, data.cache = "/home/ann/secret/mice", "/home/ann/cache"
    data.val = ["/home/ann/secret/val.json", "val"]
    loaded.settings.model.init = "/home/ann/runs/kl-1"
    loaded.settings.teacher.models = ["/home/ann/runs/large"]
    loaded.settings.teacher.unlabelled = ["/home/ann/secret/photos"]
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    metrics["taught"] = {"teachers": [{"model": "/home/ann/runs/large"}]}
    library.Predictor(loaded).save_pretrained("shared", metrics=metrics)
    for file in (tmp_path / "shared").iterdir():
        assert b"/home" not in file.read_bytes() and b"secret" not in file.read_bytes(), file
    public = public_settings(loaded.settings)
    assert public.data.path == "mice" and public.data.val == ["val.json", "val"]
    assert public.teacher.models == ["large"] and public.teacher.unlabelled == ["photos"]
    assert public.model.init == "kl-1" and loaded.settings.data.path.startswith("/home")
    assert library.load_model("shared", "cpu").settings.data.path == "mice"


@pytest.mark.parametrize(
    "path", ["C:\\Users\\ann\\mice", "~/mice", "/a/mice/", "\\\\host\\x\\mice"]
)
def test_other_systems_paths(path):
    assert public_settings(load_settings(None, [f"data.path='{path}'"])).data.path == "mice"


@pytest.mark.parametrize("path", ["mice", "data/mice", "${HEATKP_DATA}/imm"])
def test_paths_that_tell_nothing_stay(path):
    assert public_settings(load_settings(None, [f"data.path={path}"])).data.path == path


@pytest.fixture(scope="module")
def odd():
    """An untrained model whose points have odd names."""
    model = library.create_model("kl", points=2, encoder="tu-mobilenetv3_small_050")
    return library.Predictor(model, names=["a|b", "c`\n# d"]).loaded


@given(license=st.text(min_size=1, max_size=30), title=st.text(max_size=20))
def test_whatever_the_words_the_header_is_yaml(odd, license, title):
    card = model_card(odd, odd.settings, About(license), title)
    header, sections = parts_of(card)
    assert header["library_name"] == "heatkp"
    assert header["license"] == license or header["license"] == "other"
    assert set(sections) == {
        "What it finds", "How to use it", "How good it is", "Data", "How it was trained", "Licence",
        "Intended use and limits",
    }  # fmt: skip


class FakeApi:
    """Records what is sent."""

    sent: list = []  # noqa: RUF012
    error = None

    def __init__(self, **options):
        self.sent.append(("login", options["token"]))

    def create_repo(self, name, **options):
        if self.error:
            raise self.error
        self.sent.append(("create", name, options))
        return f"https://huggingface.co/{name}"

    def upload_folder(self, *, repo_id, folder_path, allow_patterns, **options):
        files = {p.name: p.read_bytes() for p in folder_path.iterdir() if p.name in allow_patterns}
        self.sent.append(("upload", repo_id, files, options))


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr(FakeApi, "sent", [])
    monkeypatch.setattr(FakeApi, "error", None)
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeApi)
    return FakeApi


def test_what_is_uploaded(api, tiny_run, tmp_path):
    model = library.load_model(tiny_run, "cpu")
    page = model.push_to_hub("ann/drawn", private=True, token="secret", revision="v1")
    assert page == "https://huggingface.co/ann/drawn"
    login, create, upload = api.sent
    assert login == ("login", "secret")
    assert create == ("create", "ann/drawn", {"private": True, "exist_ok": True})
    assert upload[1] == "ann/drawn" and upload[3]["revision"] == "v1"
    assert set(upload[2]) == {WEIGHTS, "config.json", "README.md"}
    assert b"secret" not in upload[2]["config.json"] + upload[2]["README.md"]
    (tmp_path / WEIGHTS).write_bytes(upload[2][WEIGHTS])
    assert load_run(tmp_path / WEIGHTS).skeleton == model.skeleton


def test_the_command_uploads(api, tiny_run):
    result = heatkp("push", tiny_run, "ann/drawn", "--private")
    assert result.exit_code == 0 and "hf://ann/drawn" in result.output, result.output
    assert [kind for kind, *_ in api.sent] == ["login", "create", "upload"]
    assert api.sent[1][2]["private"] is True


def test_what_the_hub_refuses_is_said(api, tiny_run, monkeypatch):
    monkeypatch.setattr(api, "error", RuntimeError("401 Unauthorized\nmore"))
    with pytest.raises(CheckpointError, match="401 Unauthorized") as caught:
        library.load_model(tiny_run, "cpu").push_to_hub("ann/drawn")
    assert "hf auth login" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["RUN"],
        ["RUN", "drawn"],
        ["RUN", "ann/../drawn"],
        ["nowhere", "ann/drawn"],
        ["RUN", "ann/drawn", "--private", "--folder", "x"],
    ],
)
def test_what_the_command_refuses(api, tiny_run, tmp_path, arguments):
    result = heatkp("push", *(tiny_run if a == "RUN" else a for a in arguments))
    assert result.exit_code == 2 and not api.sent and not (tmp_path / "x").exists()
