"""What names of points tell of left, right and the middle, in any usual style and many languages.

A name is read as tokens (`leftEye`, `left-eye` and `Left Eye` alike), some of which are sides. Two
names are a pair if they become each other, and no third name, when all their sides are exchanged.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from heatkp.sides import vocabulary as words


class Sides(NamedTuple):
    """Left and right among K points, by index.

    Attributes:
        pairs: (left, right), which change places in a mirrored image.
        unpaired: points of which that is not known. All others lie on the midline.
    """

    pairs: tuple[tuple[int, int], ...]
    unpaired: tuple[int, ...]


class Side(NamedTuple):
    """A word for a side: which language's, and whether it is the left."""

    language: int
    left: bool


Tokens = tuple[str, ...]
Reading = tuple["str | Side", ...]
"""A name's tokens, with the sides among them."""

# Letters with a stroke, which Unicode does not take apart.
_PLAIN = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "ı": "i", "ß": "ss",
                        "æ": "ae", "Æ": "Ae", "œ": "oe"})  # fmt: skip


def plain(text: str) -> str:
    """Text without accents: "Vänster" as "Vanster"."""
    parts = (unicodedata.normalize("NFD", c) for c in unicodedata.normalize("NFKC", text))
    bare = "".join(re.sub("[\u0300-\u036f]", "", part) for part in parts)
    return unicodedata.normalize("NFC", bare).translate(_PLAIN)


def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Lu", "Lt"):
        return "A"
    if category == "Ll":
        return "a"
    if category == "Nd":
        return "1"
    return "x" if category[0] in "LM" else " "


_TOKEN = re.compile("A+(?=Aa)|A?a+|A+|1+|x+")


@cache
def tokens(name: str) -> Tokens:
    """The words and numbers of a name, in lower case without accents.

    >>> tokens("LEyeOuter_02"), tokens("paw1LF.top"), tokens("左眼")
    (('l', 'eye', 'outer', '2'), ('paw', '1', 'lf', 'top'), ('左', '眼'))
    """
    text = plain(name)
    kinds = "".join(map(_kind, text))
    found: list[str] = []
    for match in _TOKEN.finditer(kinds):
        token, kind = text[match.start() : match.end()], kinds[match.start()]
        if kind == "x":  # a script that writes words without spaces
            found += [part for part in _UNSPACED.split(token) if part]
        else:
            found.append(token.lstrip("0") or "0" if kind == "1" else token.casefold())
    return tuple(found)


def _listed(text: str) -> frozenset[str]:
    return frozenset(plain(text).casefold().split())


_SIDES = {
    word: Side(language, left)
    for language, both in enumerate(words.SIDES)
    for left, listed in zip((True, False), both)
    for word in _listed(listed)
}
_BY_LENGTH = sorted(_SIDES, key=lambda word: (-len(word), word))
_UNSPACED = re.compile("(" + "|".join(w for w in _BY_LENGTH if _kind(w[0]) == "x") + ")")
_GLUED = [word for word in _BY_LENGTH if len(word) > 3 and _kind(word[0]) == "a"]
_OTHER = {"l": "r", "r": "l"}
_BESIDE = frozenset("lrtbmcudfhio")
"""Letters that stand beside l and r as sides: top, bottom, middle, front, hind ... Others are of
an enumeration, such as point_a to point_z."""


def _without_numbers(reading: Reading) -> Reading:
    return tuple(p for p in reading if isinstance(p, Side) or not p.isdecimal())


class _Layout:
    """The names of a layout, each of which is read in the light of the others."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = [tokens(name) for name in names]
        self.tokens = {token for name in self.names for token in name}
        self.words = {_SIDES[token] for token in self.tokens & _SIDES.keys()}
        self.letters: dict[Tokens, set[str]] = {}
        for name in self.names:
            for place, token in enumerate(name):
                for at in {0, len(token) - 1}:
                    if token[at].isalpha():
                        hole = self._hole(name, place, at)
                        self.letters.setdefault(hole, set()).add(token[at])

    @staticmethod
    def _hole(name: Tokens, place: int, at: int) -> Tokens:
        """A name in which one letter may be any."""
        token = name[place]
        token = f"{token[:at]}_{token[at + 1 :]}"
        return tuple(t for t in (*name[:place], token, *name[place + 1 :]) if not t.isdecimal())

    def _is_side(self, name: Tokens, place: int, at: int) -> bool:
        """Whether l or r in a token is a side, and no enumeration's, and not "rear" or "lower".

        A letter of a longer word needs the other one beside it: "leye" where "reye" is.
        """
        letter = name[place][at]
        if letter not in _OTHER:
            return False
        beside = self.letters[self._hole(name, place, at)]
        if not beside <= _BESIDE:
            return False
        alone = len(name[place]) == 1 and beside == {letter}
        return alone or _OTHER[letter] in beside

    def _glued(self, token: str) -> Reading | None:
        """ "lefteye" as a side and "eye", where there is "righteye"."""
        for word in _GLUED:
            before, found, after = token.partition(word)
            if not found or (before and after and word not in ("left", "right")):
                continue
            side = _SIDES[word]
            other = side._replace(left=not side.left)
            if any(before + w + after in self.tokens for w, s in _SIDES.items() if s == other):
                return tuple(part for part in (before, side, after) if part)
        return None

    def _is_word(self, token: str) -> bool:
        """Whether a token is a side, for some name has the other: "der" is not always Spanish."""
        side = _SIDES.get(token)
        return side is not None and side._replace(left=not side.left) in self.words

    def _letters_of(self, name: Tokens, place: int) -> Reading:
        """ "LF" as a side and "f", where there is "RF"."""
        token = name[place]
        first = self._is_side(name, place, 0)
        last = len(token) > 1 and self._is_side(name, place, len(token) - 1)
        if (first and last and len(token) == 2) or token in _WORDS:  # LL, LR, RL, RR; "lip"
            return (token,)
        parts: list[str | Side] = [Side(0, token[0] == "l")] if first else []
        parts.append(token[int(first) : len(token) - int(last)])
        parts += [Side(0, token[-1] == "l")] if last else []
        return tuple(part for part in parts if part)

    def reading(self, name: Tokens) -> Reading:
        """A name with its sides: words, or else letters."""
        parts: list[str | Side] = []
        bare = True
        for place, token in enumerate(name):
            if token in _OTHER:
                side = self._is_side(name, place, 0)
                parts.append(_SIDES[token] if side else token)
            elif self._is_word(token):
                parts.append(_SIDES[token])
                bare = False
            else:
                glued = self._glued(token)
                parts += glued or (token,)
                bare = bare and glued is None
        if not any(isinstance(part, Side) for part in parts):
            parts = [p for place in range(len(name)) for p in self._letters_of(name, place)]
        content = {part for part in parts if isinstance(part, str) and not part.isdecimal()}
        numbered = any(isinstance(part, str) and part.isdecimal() for part in parts)
        if bare and numbered and content <= _NO_CONTENT:  # l1, r1: lines and rows, or ribs
            return name
        return tuple(parts)


_NO_CONTENT = _listed(words.NO_CONTENT)


def _key(reading: Reading) -> Reading:
    """What readings are compared by: neighbouring words count as one, "ear_base" as "earbase"."""
    key: list[str | Side] = []
    word = False  # whether the last part is one
    for part in reading:
        if not isinstance(part, str) or part.isdecimal():
            key.append(part)
            word = False
        else:
            key.append(f"{key.pop()}{part}" if word else part)
            word = True
    return tuple(key)


def _mirrored(key: Reading) -> Reading:
    return tuple(p._replace(left=not p.left) if isinstance(p, Side) else p for p in key)


def _is_left(key: Reading) -> bool:
    return next(part.left for part in key if isinstance(part, Side))


def _matches(keys: Sequence[Reading]) -> Iterator[tuple[int, int]]:
    """(left, right) of readings that are there once and whose mirrored reading is, too."""
    counts = Counter(keys)
    places = {key: i for i, key in enumerate(keys)}
    for i, key in enumerate(keys):
        other = _mirrored(key)
        if other != key and counts[key] == counts[other] == 1 and _is_left(key):
            yield i, places[other]


_CHAINS = _listed(words.CHAINS)
_ORGANS = _listed(words.ORGANS) | _CHAINS
_MIDDLES = _listed(words.MIDDLES)
_BODIES = _listed(words.BODIES)
_DOUBLES = _listed(words.DOUBLES)
_SEVERAL = _listed(words.SEVERAL)
_FINS = _listed(words.UNPAIRED_FINS)
_PLACES = _listed(words.PLACES) | {"fin", "between"}
_KNOWN = _ORGANS | _MIDDLES | _BODIES | _DOUBLES | _FINS | _PLACES
_SHORT = _listed("mid top tip end low jaw bot fin")
"""Short words that are part of longer ones; others would be found where they are not meant."""
_WORDS = {word for word in _KNOWN if len(word) > 2}
_COMPOUND = {w for w in _KNOWN if len(w) > 3 or w in _SHORT or _kind(w[0]) == "x"}


@cache
def _taken_apart(token: str) -> Tokens | None:
    """Known words that a token consists of: "tailbase" as "tail" and "base"."""
    if token in _KNOWN:
        return (token,)
    for end in range(len(token) - 1, 0, -1):
        if token[:end] in _COMPOUND:
            rest = _taken_apart(token[end:])
            if rest is not None and set(rest) <= _COMPOUND:
                return (token[:end], *rest)
    return None


def _words(name: Tokens) -> list[str]:
    """The known words of a name, and "?" for each other one."""
    apart = (_taken_apart(token) for token in name if not token.isdecimal())
    return [word for found in apart for word in found or ("?",)]


def _is_midline(found: set[str], same: int, both_sides: bool) -> bool:
    """Whether a name says that its point lies in the middle: all its words must be known.

    Args:
        found: the known words of a name.
        same: how many names there are that differ by their numbers only.
        both_sides: whether there is a left and a right of it.
    """
    if "?" in found or (same > 1 and not found & _CHAINS):
        return False
    if "fin" in found:
        return bool(found & _FINS) and not found & _DOUBLES
    middle = bool(found & _MIDDLES)
    if found & _DOUBLES and "spine" not in found:  # Kinect's SpineShoulder
        several = bool(found & _SEVERAL) and (middle or "between" in found)
        return several or (both_sides and found <= _DOUBLES | _MIDDLES)
    if found & _ORGANS:
        return True
    return middle and (bool(found & _BODIES) or len(found) == 1)


def stems(names: Sequence[str]) -> list[Reading]:
    """Names with their sides, without numbers and single letters: alike for "hip1" and "hip2"."""
    layout = _Layout(names)
    readings = (_without_numbers(layout.reading(name)) for name in layout.names)
    return [_key(tuple(p for p in r if isinstance(p, Side) or len(p) > 1)) for r in readings]


def sides_by_name(names: Sequence[str]) -> Sides:
    """What names of points tell of left, right and the middle.

    Names that become each other when their sides are exchanged are pairs, also where a running
    number differs. A point is on the midline where its name says so ("nose", "tail_base",
    "mid_hip"). Of all others nothing is known.

    >>> sides_by_name(["left_paw", "nose", "right_paw", "left_ear", "eyeL", "eyeR", "hand"])
    Sides(pairs=((0, 2), (4, 5)), unpaired=(3, 6))
    >>> sides_by_name(["point_0", "point_1"])
    Sides(pairs=(), unpaired=(0, 1))
    """
    layout = _Layout(names)
    keys = [_key(layout.reading(name)) for name in layout.names]
    unnumbered = [_key(_without_numbers(key)) for key in keys]
    pairs = list(_matches(keys))
    paired = {i for pair in pairs for i in pair}
    for left, right in _matches(unnumbered):
        if not {left, right} & paired:
            pairs.append((left, right))
            paired |= {left, right}
    same = Counter(unnumbered)
    sided = {"".join(p for p in unnumbered[i] if isinstance(p, str)) for i in paired}
    unpaired = []
    for i, name in enumerate(layout.names):
        found = _words(name)
        both_sides = "".join(word for word in found if word not in _MIDDLES) in sided
        known = _is_midline(set(found), same[unnumbered[i]], both_sides)
        if i not in paired and not known:
            unpaired.append(i)
    return Sides(tuple(sorted(pairs)), tuple(unpaired))
