"""Prints the split that split_test.cpp expects, from exact fractions and a generator written from its definition
(Matsumoto and Nishimura's 64-bit Mersenne Twister)."""
from fractions import Fraction

MASK = 2**64 - 1


def mersenne_twister_64(seed):
    state = [seed]
    for i in range(1, 312):
        state.append((6364136223846793005 * (state[-1] ^ (state[-1] >> 62)) + i) & MASK)
    while True:
        for k in range(312):
            y = (state[k] & 0xFFFFFFFF80000000) | (state[(k + 1) % 312] & 0x7FFFFFFF)
            state[k] = state[(k + 156) % 312] ^ (y >> 1) ^ (0xB5026F5AA96619E9 if y & 1 else 0)
        for y in state:
            y ^= (y >> 29) & 0x5555555555555555
            y ^= (y << 17) & 0x71D67FFFEDA60000
            y ^= (y << 37) & 0xFFF7EEE000000000
            yield y ^ (y >> 43)


def shuffle(values, random):
    for left in range(len(values), 1, -1):
        draw = next(d for d in random if d >= 2**64 % left)
        values[left - 1], values[draw % left] = values[draw % left], values[left - 1]


def split(labels, fractions, seed):
    random = mersenne_twister_64(seed)
    shares = [Fraction(f) for f in fractions]
    shares.append(1 - sum(shares))
    owed = [Fraction(0)] * len(shares)
    parts = [[] for _ in fractions]
    for label in sorted(set(labels)):
        members = [i for i, other in enumerate(labels) if other == label]
        shuffle(members, random)
        dues = [len(members) * share for share in shares]
        counts = [int(due) for due in dues]
        owed = [o + due - count for o, due, count in zip(owed, dues, counts)]
        open_shares = sorted((k for k in range(len(shares)) if dues[k] != counts[k]), key=lambda k: -owed[k])
        for k in open_shares[: len(members) - sum(counts)]:
            counts[k] += 1
            owed[k] -= 1
        for k, part in enumerate(parts):
            part += members[: counts[k]]
            del members[: counts[k]]
    return [sorted(part) for part in parts]


print(split([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 5], [0.5, 0.25], 42))
