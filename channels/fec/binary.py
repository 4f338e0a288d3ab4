"""What binary codes with an algebraic decoder share: erasures, and what to do when all fails."""

from __future__ import annotations

import numpy as np

from channels.fec.code import Code, DecodedBlocks, check_received, hard_decisions


class BinaryAlgebraicCode(Code):
    """A systematic binary code, its k information bits first, that corrects `t` errors.

    With minimum distance d, e errors and s erasures are corrected where 2 e + s < d. What can't be
    corrected is passed on as it came, erased bits as zeros, and isn't `ok`.
    """

    t: int

    def correct(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Corrected copies of uint8 `words` (blocks, n), and a bool array of which are so."""
        raise NotImplementedError

    def decode(self, received: np.ndarray, erased: np.ndarray | None = None) -> DecodedBlocks:
        bits, erased = hard_decisions(check_received(received, self.n), erased)
        if erased is None:
            words, ok = self.correct(bits)
            return DecodedBlocks(words[:, : self.k], ok)
        # of the erased bits at least half are right when all are set to 0, or else to 1
        known, words = np.where(erased, 0, bits).astype(np.uint8), []
        costs = []
        for filled in (known, known | erased):
            word, good = self.correct(filled)
            changes = ((word != filled) & ~erased).sum(axis=1)
            words.append(word)
            costs.append(np.where(good, changes, self.n + 1))
        best = np.where((costs[1] < costs[0])[:, None], words[1], words[0])
        ok = np.minimum(*costs) <= self.n
        best[~ok] = known[~ok]
        return DecodedBlocks(best[:, : self.k], ok)
