"""What names tell of left, right and the middle."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heatkp.sides import sides_by_name
from heatkp.sides.names import plain, tokens
from tests.sides.layouts import LAYOUTS, read


def told(names):
    """Pairs as sets, names on the midline and names that are left open."""
    pairs, unpaired = sides_by_name(names)
    paired = {i for pair in pairs for i in pair}
    assert len(paired) == 2 * len(pairs) and not paired & set(unpaired)
    midline = {n for i, n in enumerate(names) if i not in paired and i not in unpaired}
    return {(names[a], names[b]) for a, b in pairs}, midline, {names[i] for i in unpaired}


@pytest.mark.parametrize("name", LAYOUTS)
def test_public_layouts(name):
    pairs, midline, unknown = read(LAYOUTS[name])
    names = [*(point for pair in pairs for point in pair), *midline, *unknown]
    for seed in range(3):
        random.Random(seed).shuffle(names)
        assert told(names) == (set(pairs), set(midline), set(unknown))


LANGUAGES = {
    "German": "linkes_Auge/rechtes_Auge, linke Hand/rechte Hand, ohr_links/ohr_rechts, Nase, "
              "Nasenspitze, Schwanzwurzel, Rücken, Spitze der Nase, ?Auge, ?Pfote",
    "French": "oeil_gauche/oeil_droit, patte-gauche/patte-droite, nez, bout du nez, queue, "
              "base de la queue, menton, ?oeil",
    "Spanish": "ojo_izquierdo/ojo_derecho, orejaIzquierda/orejaDerecha, pata izq/pata der, nariz, "
               "base de la cola, ?oreja",
    "Italian": "occhio_sinistro/occhio_destro, mano_sx/mano_dx, naso, punta della coda, ?mano",
    "Portuguese": "olho_esquerdo/olho_direito, orelha_esquerda/orelha_direita, nariz, cauda",
    "Dutch": "linkeroog/rechteroog, linker_oor/rechter_oor, neus, staart, ?oog",
    "Swedish": "vänster_öga/höger_öga, näsa, svans, huvud",
    "Danish": "venstre_øje/højre_øje, næse, hale",
    "Norwegian": "venstre øye/høyre øye, nese, hode",
    "Polish": "lewe_oko/prawe_oko, lewaRęka/prawaRęka, nos, nasada ogona, ?oko",
    "Czech": "levé_oko/pravé_oko, nos, ocas",
    "Turkish": "sol_göz/sağ_göz, SolKulak/SağKulak, burun, kuyruk",
    "Finnish": "vasen_silmä/oikea_silmä, nenä, häntä",
    "Russian": "левый_глаз/правый_глаз, Левое ухо/Правое ухо, нос, кончик носа, хвост, ?глаз",
    "Greek": "αριστερό μάτι/δεξί μάτι",
    "Chinese": "左眼/右眼, 左耳根/右耳根, 鼻尖, 头顶, 尾根, 中点, ?眼",
    "Japanese": "左目/右目, みぎ手/ひだり手, 鼻, 尾の付け根, ?手",
    "Korean": "왼쪽 눈/오른쪽 눈, 왼귀/오른귀, 코, 꼬리끝, ?손",
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages(language):
    pairs, midline, unknown = read(LANGUAGES[language])
    names = [*(point for pair in pairs for point in pair), *midline, *unknown]
    found = told(names)
    assert {frozenset(p) for p in found[0]} == {frozenset(p) for p in pairs}
    assert found[1:] == (set(midline), set(unknown))
    if language != "Japanese":  # whose second pair is written right first
        assert found[0] == set(pairs)


STYLES = (
    "hip_lft/hip_rgt, knee_lt/knee_rt, ear.L/ear.R",
    "LH/RH, LF/RF",
    "FL/FR, BL/BR, HL/HR",
    "FL/FR, RL/RR",
    "LF/RF, LR/RR",
    "LL/LR, UL/UR",
    "F_L/F_R, R_L/R_R",
    "1FL/2FR, 3RL/4RR",
    "01_left_ear/02_right_ear, 03_nose",
    "leye/reye, earl/earr, Lhip/Rhip, PAW1LH/PAW1RH",
    "LeftForeArm/RightForeArm, LEFT_EYE/RIGHT_EYE, eyeLeftOuter/eyeRightOuter",
    "left_eye_left_corner/right_eye_right_corner, left_eye_right_corner/right_eye_left_corner",
    "forelegL{1,2,3}/forelegR{1,2,3}",
    "left/right, middle",
    "L/R, tip_of_tail",
    "upper_lip_left/upper_lip_right, upper_lip, lower_lip",
    "bright_l/bright_r, ?bright",
    "left_hip/right_hip, hip, mid_hip, pelvis, ?eye",
    "left_eye/right_eye, between_eyes, eyes_center, ?eye_center, ?mid_eye",
    "dorsal_fin_base, caudal_fin, tail_fin, ?pectoral_fin, ?fin",
)


@pytest.mark.parametrize("text", STYLES)
def test_styles(text):
    pairs, midline, unknown = read(text)
    names = [*(point for pair in pairs for point in pair), *midline, *unknown]
    assert told(names) == (set(pairs), set(midline), set(unknown))


@pytest.mark.parametrize(
    "names",
    [
        ["ear", "lip_corner", "rip_corner2", "collar", "solar", "sagittal"],
        ["l1", "l2", "r1", "r2", "c1"],  # lines and rows, vertebrae and ribs
        ["L1", "R1"],
        ["point_l1", "point_r1"],
        [f"point_{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"],
        [f"p{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"],
        ["LL", "LR", "RL", "RR"],  # each has two possible partners
        ["left_eye", "LeftEye", "right_eye"],
        ["left_knee_1", "left_knee_2", "right_knee_3", "right_knee_4"],
        ["left_eye"],
        ["left_eye_l", "left_eye_r"],
        ["sol", "solar", "direita", "der"],
        ["hip1", "hip2", "eye", "hand", "obstacle", "wheel_center", "finger_mid", "top", "front"],
        ["jaw_0", "jaw_1", "nose_1", "nose_2"],
        ["", " ", "_", "-", "7"],
    ],
)
def test_names_that_do_not_tell(names):
    assert sides_by_name(names) == ((), tuple(range(len(names))))


def test_no_other_point_is_on_the_midline_because_there_is_a_pair():
    assert told(["left_eye", "right_eye", "hip1", "hip2"])[2] == {"hip1", "hip2"}
    assert told(["left_eye", "right_eye", "tail1", "tail2"])[1] == {"tail1", "tail2"}


def test_tokens():
    assert tokens("LEyeOuter_02") == ("l", "eye", "outer", "2")
    assert tokens("HTMLParser2Go") == ("html", "parser", "2", "go")
    assert plain("Vänster Øre ŁĄKA") == "Vanster Ore LAKA"


PARTS = st.lists(
    st.sampled_from(["eye", "outer corner", "ear base", "front paw", "wing", "knee 1", "leg 12"]),
    min_size=1, max_size=7, unique=True,
)  # fmt: skip


def snake(side, words):
    return "_".join([side, *words])


WAYS = [
    snake,
    lambda side, words: "_".join([*words, side]),
    lambda side, words: "-".join([words[0], side, *words[1:]]),
    lambda side, words: " ".join([side, *words]),
    lambda side, words: ".".join([*words, side]).upper(),
    lambda side, words: side + "".join(w.capitalize() for w in words),
    lambda side, words: words[0] + "".join(w.capitalize() for w in [side, *words[1:]]),
    lambda side, words: "".join(w.capitalize() for w in [*words, side]),
    lambda side, words: snake(side[0], words),
    lambda side, words: snake(side[0].upper(), words),
    lambda side, words: side[0].upper() + "".join(w.capitalize() for w in words),
    lambda side, words: "_".join(words) + "_" + side[0].upper(),
    lambda side, words: snake({"left": "lft", "right": "rgt"}[side], words),
    lambda side, words: snake({"left": "links", "right": "rechts"}[side], words),
    lambda side, words: snake({"left": "gauche", "right": "droite"}[side], words),
    lambda side, words: {"left": "左", "right": "右"}[side] + "_".join(words),
]


@given(PARTS, st.sampled_from(WAYS), st.randoms())
def test_neither_style_nor_order_changes_pairs(parts, way, random_):
    pairs = {tuple(way(side, part.split()) for side in ("left", "right")) for part in parts}
    names = [name for pair in pairs for name in pair] + ["nose", "tail_base", "obstacle"]
    random_.shuffle(names)
    assert told(names) == (pairs, {"nose", "tail_base"}, {"obstacle"})


NAMES = st.lists(
    st.one_of(
        st.text("left rightLRlr_", min_size=1, max_size=12),
        st.builds("".join, st.lists(st.sampled_from(
            ["left", "right", "l", "r", "L", "R", "_", "1", "2", "eye", "Paw", "nose", "f",
             "links", "rechts", "左", "右", "眼", "левый", "правый", "mid", "hip"],
        ), min_size=1, max_size=5)),
        st.text(max_size=6),
    ),
    unique=True, max_size=14,
)  # fmt: skip


@given(NAMES, st.randoms())
def test_pairing_is_an_involution_that_does_not_depend_on_order(names, random_):
    pairs, midline, unknown = told(names)
    assert all(a != b for a, b in pairs)
    shuffled = list(names)
    random_.shuffle(shuffled)
    assert told(shuffled) == (pairs, midline, unknown)


@given(NAMES)
def test_no_name_is_paired_across_what_else_it_says(names):
    for left, right in told(names)[0]:
        assume(left.isascii() and right.isascii())

        def rest(name):
            return sorted(c for c in name.casefold() if c.isalpha() and c not in "leftrighnksc")

        assert rest(left) == rest(right)
