"""Layered decoders and the encoder of quasi-cyclic LDPC codes, compiled.

Importing this module imports numba; `channels.fec.ldpc` does so when it first codes a block.

The min-sum decoder interleaves several blocks ("lanes"): the value of bit v of lane l stands at
``v * lanes + l``. A circulant of the parity-check matrix then reads two runs of consecutive values,
which the compiler turns into vector instructions over int16. A lane whose block is done takes the
next one at once, so no lane waits for the slowest. Arithmetic on integers and lanes that never mix
make a block's result independent of what is decoded beside it.
"""

from __future__ import annotations

import numpy as np

from channels.jit import kernel

#: LLRs are held in steps of 1/16. What is received is cut off at +-128, messages at +-64 and
#: a-posteriori values at +-512: a bit that is certain stays so when a message is taken off it.
STEPS = np.float32(16)
RECEIVED_MOST = np.int16(2047)
MESSAGE_MOST = np.int16(1023)
LIMIT = np.int16(8191)
#: Magnitude that no sum of bits has: larger than LIMIT + MESSAGE_MOST, and twice it still fits
UNBOUNDED = np.int16(16383)
#: Min-sum's messages are normalised by this many sixteenths, the best of 10, 11, 12 and 13 for
#: blocks of 1040 and 8448 bits at rates 1/3, 1/2 and 5/6
SIXTEENTHS = np.int16(11)
#: Sum-product cuts LLRs and messages off here, far beyond any effect on a decision
SUM_PRODUCT_RECEIVED, SUM_PRODUCT_MESSAGE = 1000.0, 600.0

_i16 = np.int16


@kernel
def _gather(app, message, old, low, second, sign):
    """First walk over a row: smallest and second smallest magnitude and product of signs."""
    for x in range(low.size):
        value = _i16(app[x] - (message[x] & old[x]))
        size = value if value >= 0 else _i16(-value)
        least = low[x]
        larger = least if least > size else size
        before = second[x]
        second[x] = before if before < larger else larger
        low[x] = least if least < size else size
        sign[x] = _i16(sign[x] ^ value)


@kernel
def _normalise(low, second, for_low, for_others):
    """Messages of min-sum: the smallest of the other magnitudes, normalised."""
    for x in range(low.size):
        a, b = second[x], low[x]
        a = a if a < MESSAGE_MOST else MESSAGE_MOST
        b = b if b < MESSAGE_MOST else MESSAGE_MOST
        for_low[x] = _i16(_i16(_i16(a * SIXTEENTHS) + _i16(8)) >> _i16(4))
        for_others[x] = _i16(_i16(_i16(b * SIXTEENTHS) + _i16(8)) >> _i16(4))


@kernel
def _correction(x):
    """ln(1 + exp(-x)) by a straight line, in steps: off by less than one of them."""
    y = _i16(_i16(10) - _i16(x >> _i16(2)))
    return y if y > 0 else _i16(0)


@kernel
def _boxplus(a, b):
    """Magnitude of the LLR of the sum of two bits, from the magnitudes of their LLRs."""
    difference = _i16(a - b)
    difference = difference if difference >= 0 else _i16(-difference)
    least = a if a < b else b
    least = _i16(_i16(least + _correction(_i16(a + b))) - _correction(difference))
    return least if least > 0 else _i16(0)


@kernel
def _gather_star(app, message, old, low, rest, sign):
    """First walk of min-star: smallest magnitude, and what all other bits say together."""
    for x in range(low.size):
        value = _i16(app[x] - (message[x] & old[x]))
        size = value if value >= 0 else _i16(-value)
        least = low[x]
        rest[x] = _boxplus(rest[x], least if least > size else size)
        low[x] = least if least < size else size
        sign[x] = _i16(sign[x] ^ value)


@kernel
def _join(low, rest, for_low, for_others):
    """Messages of min-star: the least reliable bit gets what the others say, the others get all."""
    for x in range(low.size):
        a, b = rest[x], _boxplus(low[x], rest[x])
        for_low[x] = a if a < MESSAGE_MOST else MESSAGE_MOST
        for_others[x] = b if b < MESSAGE_MOST else MESSAGE_MOST


@kernel
def _scatter(app, message, old, low, for_low, for_others, sign):
    """Second walk: each bit's message from the others, and its new a-posteriori value."""
    for x in range(low.size):
        value = _i16(app[x] - (message[x] & old[x]))
        size = value if value >= 0 else _i16(-value)
        # both are read before the choice: a choice between places to read from isn't vectorised
        least, other = for_low[x], for_others[x]
        strength = least if size == low[x] else other
        flip = _i16(_i16(sign[x] ^ value) >> _i16(15))
        new = _i16(_i16(strength ^ flip) - flip)
        message[x] = new
        value = _i16(value + new)
        value = value if value < LIMIT else LIMIT
        app[x] = value if value > -LIMIT else _i16(-LIMIT)


@kernel
def _xor(target, source):
    for x in range(target.size):
        target[x] ^= source[x]


@kernel
def _iterate(app, message, old, low, second, for_low, for_others, sign, graph, star):
    """One iteration over all rows."""
    row_start, column, run = graph
    width = low.size
    for row in range(row_start.size - 1):
        low[:] = UNBOUNDED
        second[:] = UNBOUNDED
        sign[:] = _i16(0)
        for edge in range(row_start[row], row_start[row + 1]):
            values = app[column[edge] * width : (column[edge] + 1) * width]
            mine = message[edge * width : (edge + 1) * width]
            s, k = run[edge], width - run[edge]
            if star:
                _gather_star(values[s:], mine[:k], old[:k], low[:k], second[:k], sign[:k])
                _gather_star(values[:s], mine[k:], old[k:], low[k:], second[k:], sign[k:])
            else:
                _gather(values[s:], mine[:k], old[:k], low[:k], second[:k], sign[:k])
                _gather(values[:s], mine[k:], old[k:], low[k:], second[k:], sign[k:])
        if star:
            _join(low, second, for_low, for_others)
        else:
            _normalise(low, second, for_low, for_others)
        for edge in range(row_start[row], row_start[row + 1]):
            values = app[column[edge] * width : (column[edge] + 1) * width]
            mine = message[edge * width : (edge + 1) * width]
            s, k = run[edge], width - run[edge]
            _scatter(values[s:], mine[:k], old[:k], low[:k], for_low[:k], for_others[:k], sign[:k])
            _scatter(values[:s], mine[k:], old[k:], low[k:], for_low[k:], for_others[k:], sign[k:])


@kernel
def _find_unsatisfied(app, sign, unsatisfied, busy, graph):
    """Mark lanes with a check that fails; leave off once all busy lanes have one."""
    row_start, column, run = graph
    lanes = unsatisfied.size
    width = sign.size
    unsatisfied[:] = False
    for row in range(row_start.size - 1):
        sign[:] = _i16(0)
        for edge in range(row_start[row], row_start[row + 1]):
            values = app[column[edge] * width : (column[edge] + 1) * width]
            k = width - run[edge]
            _xor(sign[:k], values[run[edge] :])
            _xor(sign[k:], values[: run[edge]])
        # fold the checks of each lane into the first: OR of sign bits, in runs that stay long
        size = width // lanes
        while size > 1:
            half = size // 2
            upper = (size - half) * lanes
            for x in range(half * lanes):
                sign[x] |= sign[upper + x]
            size -= half
        waiting = False
        for lane in range(lanes):
            unsatisfied[lane] |= sign[lane] < 0
            waiting |= busy[lane] and not unsatisfied[lane]
        if not waiting:
            return


@kernel
def _load(app, old, lane, lanes, llr, place, filler, scratch):
    """Put a block's LLRs into a lane. Bits sent several times add up; unsent ones know nothing."""
    scratch[:] = np.float32(0)
    for j in range(place.size):
        scratch[place[j]] += llr[j]
    for v in range(scratch.size):
        value = scratch[v] * STEPS
        if value >= RECEIVED_MOST:
            app[v * lanes + lane] = RECEIVED_MOST
        elif value <= -RECEIVED_MOST:
            app[v * lanes + lane] = -RECEIVED_MOST
        elif value == value:
            app[v * lanes + lane] = _i16(np.rint(value))
        else:  # nan, of a demapper's 0 / 0 or infinities that cancel, tells nothing
            app[v * lanes + lane] = _i16(0)
    for v in range(filler[0], filler[1]):
        app[v * lanes + lane] = RECEIVED_MOST
    for x in range(lane, old.size, lanes):
        old[x] = _i16(0)


@kernel
def min_sum(llr, place, filler, structure, limits, bits, ok, iterations):
    """Layered min-sum or min-star over int16.

    Parameters
    ----------
    llr : float32 array, shape (blocks, n)
    place : int64 array, shape (n,)
        Which bit of the mother code each sent bit is.
    filler : int64 array, shape (2,)
        Range of bits known to be zero.
    structure : tuple
        z, columns, row_start, column and shift of a :class:`channels.fec.ldpc_graph.LiftedGraph`.
    limits : tuple of int, int, bool
        Most iterations; lanes; whether by min-star.
    bits : uint8 array, shape (blocks, k)
        Out: decisions.
    ok : bool array, shape (blocks,)
        Out: whether all checks hold and all bits are decided.
    iterations : int32 array, shape (blocks,)
        Out.
    """
    z, columns, row_start, column, shift = structure
    most, lanes, star = limits
    blocks, k = bits.shape
    width = z * lanes
    graph = (row_start, column, shift * lanes)
    app = np.zeros(columns * width, np.int16)
    message = np.zeros(column.size * width, np.int16)
    old = np.zeros(width, np.int16)  # -1 where a lane has messages of its own, 0 in its first round
    low = np.empty(width, np.int16)
    second = np.empty(width, np.int16)
    for_low = np.empty(width, np.int16)
    for_others = np.empty(width, np.int16)
    sign = np.empty(width, np.int16)
    scratch = np.empty(columns * z, np.float32)
    unsatisfied = np.zeros(lanes, np.bool_)
    busy = np.zeros(lanes, np.bool_)
    holds = np.zeros(lanes, np.int64)
    spent = np.zeros(lanes, np.int32)
    next_block = 0
    n_busy = 0
    for lane in range(lanes):
        if next_block < blocks:
            _load(app, old, lane, lanes, llr[next_block], place, filler, scratch)
            busy[lane] = True
            holds[lane] = next_block
            next_block += 1
            n_busy += 1
    while n_busy:
        _iterate(app, message, old, low, second, for_low, for_others, sign, graph, star)
        old[:] = _i16(-1)
        _find_unsatisfied(app, sign, unsatisfied, busy, graph)
        for lane in range(lanes):
            if not busy[lane]:
                continue
            spent[lane] += 1
            if unsatisfied[lane] and spent[lane] < most:
                continue
            block = holds[lane]
            undecided = False  # zeros satisfy every check, but nothing says that they are right
            for i in range(k):
                value = app[i * lanes + lane]
                bits[block, i] = value < 0
                undecided |= value == 0
            if undecided and spent[lane] < most:
                continue
            ok[block] = not unsatisfied[lane] and not undecided
            iterations[block] = spent[lane]
            spent[lane] = 0
            if next_block < blocks:
                _load(app, old, lane, lanes, llr[next_block], place, filler, scratch)
                holds[lane] = next_block
                next_block += 1
            else:
                busy[lane] = False
                n_busy -= 1


@kernel
def _phi(x):
    """-ln tanh(x / 2), its own inverse; exact at 0 and infinity."""
    return np.log1p(2.0 / np.expm1(x))


@kernel
def sum_product(llr, place, filler, structure, limits, bits, ok, iterations):
    """Layered sum-product in float64 with exact check nodes; arguments as for `min_sum`."""
    z, columns, row_start, column, shift = structure
    blocks, k = bits.shape
    app = np.empty(columns * z)
    message = np.empty(column.size * z)
    widest = 0
    for row in range(row_start.size - 1):
        widest = max(widest, row_start[row + 1] - row_start[row])
    value = np.empty(widest)
    before = np.empty(widest + 1)
    place_of = np.empty(widest, np.int64)
    for block in range(blocks):
        app[:] = 0.0
        message[:] = 0.0
        for j in range(place.size):
            app[place[j]] += np.float64(llr[block, j])
        for v in range(app.size):
            if app[v] != app[v]:  # as in `_load`
                app[v] = 0.0
            app[v] = min(max(app[v], -SUM_PRODUCT_RECEIVED), SUM_PRODUCT_RECEIVED)
        app[filler[0] : filler[1]] = SUM_PRODUCT_RECEIVED
        satisfied = False
        spent = 0
        while spent < limits[0] and not satisfied:
            spent += 1
            for row in range(row_start.size - 1):
                first, degree = row_start[row], row_start[row + 1] - row_start[row]
                for i in range(z):
                    negative = False
                    before[0] = 0.0
                    for e in range(degree):
                        at = i + shift[first + e]
                        at -= z if at >= z else 0
                        place_of[e] = column[first + e] * z + at
                        value[e] = app[place_of[e]] - message[(first + e) * z + i]
                        negative ^= value[e] < 0
                        before[e + 1] = before[e] + _phi(abs(value[e]))
                    behind = 0.0
                    for e in range(degree - 1, -1, -1):
                        new = min(_phi(before[e] + behind), SUM_PRODUCT_MESSAGE)
                        behind += _phi(abs(value[e]))
                        if negative ^ (value[e] < 0):
                            new = -new
                        message[(first + e) * z + i] = new
                        app[place_of[e]] = value[e] + new
            satisfied = True
            for row in range(row_start.size - 1):
                for i in range(z):
                    odd = False
                    for edge in range(row_start[row], row_start[row + 1]):
                        at = i + shift[edge]
                        at -= z if at >= z else 0
                        odd ^= app[column[edge] * z + at] < 0
                    satisfied &= not odd
            for i in range(k):
                satisfied &= app[i] != 0  # as in `min_sum`
        for i in range(k):
            bits[block, i] = app[i] < 0
        ok[block] = satisfied
        iterations[block] = spent


@kernel
def encode(bits, place, info_columns, structure, coded):
    """Encode, eight blocks to a byte.

    Parameters
    ----------
    bits : uint8 array, shape (blocks, k)
    place : int64 array, shape (n,)
        Which bit of the mother code each sent bit is.
    info_columns : int
        Columns of information and filler bits.
    structure : tuple
        As for `min_sum`.
    coded : uint8 array, shape (blocks, n)
        Out.
    """
    z, columns, row_start, column, shift = structure
    blocks, k = bits.shape
    word = np.zeros(columns * z, np.uint8)
    core = np.zeros(z, np.uint8)
    sent = np.empty(place.size, np.uint8)
    # the first parity column appears three times in the core, twice with the same shift: the sum
    # of the core's rows leaves it alone, shifted by the third
    odd_shift = 0
    for edge in range(row_start[4]):
        if column[edge] == info_columns:
            odd_shift ^= shift[edge]
    for group in range(0, blocks, 8):
        size = min(8, blocks - group)
        word[:] = 0
        for b in range(size):
            for i in range(k):
                word[i] |= np.uint8(bits[group + b, i] << b)
        core[:] = 0
        for edge in range(row_start[4]):
            if column[edge] < info_columns:
                values = word[column[edge] * z : (column[edge] + 1) * z]
                _xor(core[: z - shift[edge]], values[shift[edge] :])
                _xor(core[z - shift[edge] :], values[: shift[edge]])
        for i in range(z):
            word[info_columns * z + (i + odd_shift) % z] = core[i]
        # each row but the fourth now determines the column of its last edge, whose shift is zero
        for row in range(row_start.size - 1):
            if row == 3:
                continue
            last = row_start[row + 1] - 1
            parity = word[column[last] * z : (column[last] + 1) * z]
            for edge in range(row_start[row], last):
                values = word[column[edge] * z : (column[edge] + 1) * z]
                _xor(parity[: z - shift[edge]], values[shift[edge] :])
                _xor(parity[z - shift[edge] :], values[: shift[edge]])
        for j in range(place.size):
            sent[j] = word[place[j]]
        for b in range(size):
            for j in range(place.size):
                coded[group + b, j] = (sent[j] >> b) & 1
