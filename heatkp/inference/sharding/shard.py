"""Which inputs belong to which shard: by a hash of their names, whatever their order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

from heatkp.errors import SettingsError

MOST_SHARDS = 10**6
_MODULUS = 2**128


def digest_of(name: str) -> int:
    """The hash of an input's name, as `heatkp.text.name_to_text` writes it: blake2b of its UTF-8,
    128 bits, the first byte first.

    >>> digest_of("a.jpg") % 3
    1
    """
    return int.from_bytes(blake2b(name.encode(), digest_size=16).digest(), "big")


@dataclass(frozen=True)
class Shard:
    """One of `count` shards; `number` is from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `i/N`. Raises `SettingsError` for anything else.

        >>> Shard.parse("3/10")
        Shard(number=3, count=10)
        """
        match = re.fullmatch(r"([0-9]{1,7})/([0-9]{1,7})", text)
        number, count = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= count <= MOST_SHARDS:
            raise SettingsError(
                f"--shard {text!r}: give the shard's number, from 1, and how many there are, such "
                "as 3/10"
            )
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def folder(self) -> str:
        """The name of its folder; those of all shards sort as their numbers do."""
        width = max(4, len(str(self.count)))
        return f"{self.number:0{width}d}-of-{self.count:0{width}d}"

    def holds(self, digest: int) -> bool:
        """Whether an input whose name has this `digest_of` is one of its own."""
        return digest % self.count == self.number - 1


class Names:
    """How many names there are, and a digest of all of them that does not depend on their order:
    the sum of their hashes modulo 2**128."""

    def __init__(self, count: int = 0, total: int = 0) -> None:
        self.count, self.total = count, total

    def add(self, digest: int, times: int = 1) -> None:
        self.count += times
        self.total = (self.total + times * digest) % _MODULUS

    @property
    def digest(self) -> str:
        """In hexadecimal digits."""
        return f"{self.total:032x}"
