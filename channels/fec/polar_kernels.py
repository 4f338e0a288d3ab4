"""List decoder and encoder of polar codes, compiled.

Importing this module imports numba; `channels.fec.polar` does so when it first codes a block.

The decoder keeps LLRs as int32 in steps of 1/64: sums are exact, so a block's result depends on
neither order nor machine. A path that forks copies no LLRs and no partial sums: it copies the
numbers of the slots in which its values stand, level by level. Each path writes into a slot of its
own, and since all paths write a level in the same phase nobody still needs what is overwritten.
"""

from __future__ import annotations

import numpy as np

from channels.jit import kernel

#: LLRs are held in steps of 1/64 and cut off at +-LIMIT steps (1024): sums of 1024 of them fit
STEPS = np.float32(64)
LIMIT = 1 << 16
#: Shorter runs than this are not worth a vector loop
FEW = 8
#: In place of a decision: no path lives here
FREE = 255

_i32 = np.int32


@kernel
def _transform(word):
    """x = u G over eight blocks a byte, in place; its own inverse."""
    half = 1
    while half < word.size:
        for start in range(0, word.size, 2 * half):
            upper = word[start : start + half]
            lower = word[start + half : start + 2 * half]
            for i in range(half):
                upper[i] ^= lower[i]
        half *= 2


@kernel
def _check_node(a, b, out):
    """LLRs of the upper half: min-sum of the two."""
    for i in range(out.size):
        x, y = a[i], b[i]
        p = x if x >= 0 else _i32(-x)
        q = y if y >= 0 else _i32(-y)
        least = p if p < q else q
        flip = _i32(_i32(x ^ y) >> _i32(31))
        out[i] = _i32(_i32(least ^ flip) - flip)


@kernel
def _variable_node(a, b, sums, out):
    """LLRs of the lower half, given the upper half's partial sums."""
    for i in range(out.size):
        flip = _i32(-_i32(sums[i]))
        out[i] = _i32(b[i] + _i32(_i32(a[i] ^ flip) - flip))


@kernel
def _penalties(alpha):
    """What all zeros and all ones cost: sums of magnitudes of LLRs that say otherwise."""
    zeros, ones = _i32(0), _i32(0)
    for i in range(alpha.size):
        x = alpha[i]
        zeros = _i32(zeros + (_i32(-x) if x < 0 else _i32(0)))
        ones = _i32(ones + (x if x > 0 else _i32(0)))
    return zeros, ones


@kernel
def _combine(left, right, out):
    for i in range(out.size):
        out[i] = left[i] ^ right[i]


@kernel
def _load(llr, place, shortened, total, mother):
    """LLRs of the mother code. Bits sent several times add up; unsent ones know nothing."""
    total[:] = np.float32(0)
    for j in range(place.size):
        total[place[j]] += llr[j]
    for i in range(mother.size):
        value = total[i] * STEPS
        if value >= LIMIT:
            mother[i] = LIMIT
        elif value <= -LIMIT:
            mother[i] = -LIMIT
        elif value == value:
            mother[i] = _i32(np.rint(value))
        else:  # nan, of a demapper's 0 / 0 or infinities that cancel, tells nothing
            mother[i] = 0
    for i in shortened:
        mother[i] = LIMIT


@kernel
def _read(coded, word, info, crc, bits):
    """Information bits of a decoded word; whether their remainder by the CRC's polynomial is 0."""
    for i in range(word.size):
        word[i] = coded[i]
    _transform(word)
    register = 0
    top = 1 << crc[0]
    for i in range(info.size):
        bits[i] = word[info[i]]
        register = (register << 1) | bits[i]
        if register & top:
            register ^= crc[1] | top
    return register == 0


@kernel
def decode_list(llr, place, shortened, nodes, info, kind, size, crc, bits, ok):
    """Successive-cancellation list decoding with LLR-based path metrics.

    Parameters
    ----------
    llr : float32 array, shape (blocks, n)
    place, shortened, info, kind
        As in :class:`channels.fec.polar_construction.Construction`.
    nodes : int64 array, shape (nodes, 3)
        Of :func:`channels.fec.polar_construction.tree_nodes`.
    size : int
        Most paths.
    crc : tuple of int, int
        Width and polynomial (without leading term) of the CRC over all information bits; width 0
        for none.
    bits : uint8 array, shape (blocks, K)
        Out: decisions, CRC included.
    ok : bool array, shape (blocks,)
        Out: whether the CRC is right.
    """
    length = kind.size
    levels = 0
    while (1 << levels) < length:
        levels += 1
    total = np.empty(length, np.float32)
    # slot p of level s: size * (2**s - 1) + p * 2**s and on. All paths share slot 0 of the LLRs at
    # the top.
    alpha = np.empty(size * (length - 1) + length, np.int32)
    beta = np.empty(size * (2 * length - 1), np.uint8)
    alpha_slot = np.zeros((size, levels + 1), np.int64)
    beta_slot = np.zeros((size, levels + 1), np.int64)
    metric = np.zeros(size, np.int32)
    parity = np.zeros((size, 5), np.uint8)  # one sum for each index modulo 5 (section 5.3.1.2)
    cost = np.empty(2 * size, np.int32)  # of each path with 0, then of each with 1
    rank = np.empty(2 * size, np.int32)
    decision = np.empty(size, np.uint8)
    word = np.empty(length, np.uint8)
    for block in range(llr.shape[0]):
        _load(llr[block], place, shortened, total, alpha[size * (length - 1) :])
        paths = 1
        metric[0] = 0
        parity[0] = 0
        for node in range(nodes.shape[0]):
            start, log, what = nodes[node, 0], nodes[node, 1], nodes[node, 2]
            _descend(alpha, beta, alpha_slot, beta_slot, paths, size, start, log)
            width = 1 << log
            last = start + width - 1
            for p in range(paths):
                at = size * (width - 1) + alpha_slot[p, log] * width
                if log == 0:
                    zeros, ones = max(_i32(-alpha[at]), _i32(0)), max(alpha[at], _i32(0))
                else:
                    zeros, ones = _penalties(alpha[at : at + width])
                cost[p] = _i32(metric[p] + zeros)
                cost[paths + p] = _i32(metric[p] + ones)
            if what == 1:
                paths = _fork(
                    paths, size, cost, rank, metric, decision, alpha_slot, beta_slot, parity
                )
                for p in range(paths):
                    parity[p, last % 5] ^= decision[p]
            else:
                for p in range(paths):
                    bit = parity[p, last % 5] if what == 2 else np.uint8(0)
                    decision[p] = bit
                    metric[p] = cost[paths + p] if bit else cost[p]
            _ascend(beta, beta_slot, decision, paths, size, last, log)
        ok[block] = _choose(beta, metric, paths, size, word, info, crc, bits[block])


@kernel
def _descend(alpha, beta, alpha_slot, beta_slot, paths, size, start, log):
    """LLRs of the node at `start`, from where the paths turned off to it."""
    level = alpha_slot.shape[1] - 1
    if start:
        level = 0
        while (start >> level) & 1 == 0:
            level += 1
        half = 1 << level
        for p in range(paths):
            a = size * (2 * half - 1) + alpha_slot[p, level + 1] * 2 * half
            s = size * (half - 1) + beta_slot[p, level] * half
            out = size * (half - 1) + p * half
            if half < FEW:
                for i in range(half):
                    x = alpha[a + i]
                    alpha[out + i] = _i32(alpha[a + half + i] + (_i32(-x) if beta[s + i] else x))
            else:
                _variable_node(
                    alpha[a : a + half],
                    alpha[a + half : a + 2 * half],
                    beta[s : s + half],
                    alpha[out : out + half],
                )
            alpha_slot[p, level] = p
    while level > log:
        level -= 1
        half = 1 << level
        for p in range(paths):
            a = size * (2 * half - 1) + alpha_slot[p, level + 1] * 2 * half
            out = size * (half - 1) + p * half
            if half < FEW:
                for i in range(half):
                    x, y = alpha[a + i], alpha[a + half + i]
                    least = min(abs(x), abs(y))
                    alpha[out + i] = -least if (x < 0) != (y < 0) else least
            else:
                _check_node(
                    alpha[a : a + half], alpha[a + half : a + 2 * half], alpha[out : out + half]
                )
            alpha_slot[p, level] = p


@kernel
def _ascend(beta, beta_slot, decision, paths, size, last, log):
    """Partial sums, up to the level at which a left half is now complete.

    They are put together at the end of that level's slot: what is there moves up by half the size.
    """
    level = log
    while level < beta_slot.shape[1] - 1 and (last >> level) & 1:
        level += 1
    full = 1 << level
    for p in range(paths):
        end = size * (full - 1) + (p + 1) * full
        for i in range(end - (1 << log), end):
            beta[i] = decision[p]
        for lower in range(log, level):
            done = 1 << lower
            at = size * (done - 1) + beta_slot[p, lower] * done
            if done < FEW:
                for i in range(done):
                    beta[end - 2 * done + i] = beta[end - done + i] ^ beta[at + i]
            else:
                _combine(
                    beta[at : at + done],
                    beta[end - done : end],
                    beta[end - 2 * done : end - done],
                )
    for p in range(paths):
        beta_slot[p, level] = p


@kernel
def _fork(before, size, cost, rank, metric, decision, alpha_slot, beta_slot, parity):
    """Keep the best of twice as many paths; paths that live on in both ways take a free place."""
    total = 2 * before
    if total <= size:
        for i in range(total):
            rank[i] = 0
    else:
        for i in range(total):
            mine, place = cost[i], _i32(i)
            better = _i32(0)
            for j in range(total):
                before_it = (cost[j] < mine) | ((cost[j] == mine) & (_i32(j) < place))
                better = _i32(better + _i32(before_it))
            rank[i] = better
    after = min(total, size)
    for p in range(before, after):
        decision[p] = FREE
    for p in range(before):
        if rank[p] < size:
            decision[p] = 0
            metric[p] = cost[p]
        elif rank[before + p] < size:
            decision[p] = 1
            metric[p] = cost[before + p]
        else:
            decision[p] = FREE
    free = 0
    for p in range(before):
        if rank[p] < size and rank[before + p] < size:
            while decision[free] != FREE:
                free += 1
            decision[free] = 1
            metric[free] = cost[before + p]
            for level in range(alpha_slot.shape[1]):
                alpha_slot[free, level] = alpha_slot[p, level]
                beta_slot[free, level] = beta_slot[p, level]
            for i in range(5):
                parity[free, i] = parity[p, i]
    return after


@kernel
def _choose(beta, metric, paths, size, word, info, crc, bits):
    """The likeliest path whose CRC is right, or the likeliest of all."""
    length = word.size
    tried = np.zeros(paths, np.bool_)
    first = -1
    for _ in range(paths):
        best = -1
        for p in range(paths):
            if not tried[p] and (best < 0 or metric[p] < metric[best]):
                best = p
        tried[best] = True
        first = best if first < 0 else first
        if _read(beta[size * (length - 1) + best * length :], word, info, crc, bits):
            return True
    _read(beta[size * (length - 1) + first * length :], word, info, crc, bits)
    return False


@kernel
def encode(bits, info, kind, place, coded):
    """Encode, eight blocks to a byte.

    Parameters
    ----------
    bits : uint8 array, shape (blocks, K)
        With CRC.
    info, kind, place
        As in :class:`channels.fec.polar_construction.Construction`.
    coded : uint8 array, shape (blocks, n)
        Out.
    """
    blocks = bits.shape[0]
    word = np.empty(kind.size, np.uint8)
    parity = np.empty(5, np.uint8)
    for group in range(0, blocks, 8):
        size = min(8, blocks - group)
        word[:] = 0
        for b in range(size):
            for i in range(info.size):
                word[info[i]] |= np.uint8(bits[group + b, i] << b)
        parity[:] = 0
        for i in range(kind.size):
            if kind[i] == 2:
                word[i] = parity[i % 5]
            elif kind[i] == 1:
                parity[i % 5] ^= word[i]
        _transform(word)
        for b in range(size):
            for j in range(place.size):
                coded[group + b, j] = (word[place[j]] >> b) & 1
