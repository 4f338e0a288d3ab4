"""What decoders of BCH and Reed-Solomon codes share: the error locator and its zeros.

Elements of the field are int32; `powers` and `logs` are the tables of
:class:`channels.fec.finite_field.Field`.
"""

from __future__ import annotations

from channels.jit import kernel


@kernel
def find_locator(syndromes, erasure_logs, powers, logs, locator, shadow, update):
    """Berlekamp-Massey that starts from the erasures; degree of the locator, or -1.

    The locator is the product of 1 + X x over the places X = alpha^(step degree) that are wrong.
    """
    r, lost, order = syndromes.size, erasure_logs.size, logs.size - 1
    locator[:] = 0
    locator[0] = 1
    for e in range(lost):
        for i in range(e + 1, 0, -1):
            if locator[i - 1]:
                locator[i] ^= powers[logs[locator[i - 1]] + erasure_logs[e]]
    shadow[:] = locator
    length = lost
    for number in range(lost, r):
        discrepancy = 0
        for i in range(min(length, number) + 1):
            if locator[i] and syndromes[number - i]:
                discrepancy ^= powers[logs[locator[i]] + logs[syndromes[number - i]]]
        for i in range(r, 0, -1):
            shadow[i] = shadow[i - 1]
        shadow[0] = 0
        if discrepancy == 0:
            continue
        log = logs[discrepancy]
        update[:] = locator
        for i in range(r + 1):
            if shadow[i]:
                update[i] ^= powers[log + logs[shadow[i]]]
        if 2 * length <= number + lost:
            length = number + 1 + lost - length
            for i in range(r + 1):
                shadow[i] = powers[logs[locator[i]] + order - log] if locator[i] else 0
        locator[:] = update
    degree = 0
    for i in range(r + 1):
        if locator[i]:
            degree = i
    return degree if degree == length and 2 * length <= r + lost else -1


@kernel
def find_places(locator, degree, n, step, powers, logs, places, terms, strides):
    """Chien search: places in 0 ... n - 1 (0 the highest power) at which the locator is zero.

    Each term of the locator is an exponent that grows by a stride of its own from place to place.
    Returns how many were found, `degree` at most.
    """
    used, order = 0, logs.size - 1
    for i in range(1, degree + 1):
        if locator[i]:
            terms[used] = (logs[locator[i]] + (-step * (n - 1) * i) % order) % order
            strides[used] = (step * i) % order
            used += 1
    found = 0
    for place in range(n):
        value = 1
        for u in range(used):
            value ^= powers[terms[u]]
            further = terms[u] + strides[u]
            terms[u] = further - order if further >= order else further
        if value == 0:
            places[found] = place
            found += 1
            if found == degree:
                break
    return found
