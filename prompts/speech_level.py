"""Active speech level by ITU-T P.56 (12/2011), method B.

Pauses between words do not count: the level is the energy divided by the time in which the speech
was active, found as the point where it stands 15.9 dB above the threshold that says "active".
"""

import math

MARGIN_DB = 15.9        # P.56 §6.4: how far the level stands above its threshold
SMOOTHING_S = 0.03      # time constant of the envelope
HANGOVER_S = 0.2        # a pause shorter than this is part of the speech
THRESHOLDS_DBOV = [20 * math.log10(2.0) * -j for j in range(1, 16)]


def active_level(samples, rate):
    """(level in dBov, share of the time that is active) of 16-bit samples; None if it is silent."""
    keep = math.exp(-1 / (rate * SMOOTHING_S))
    hang = math.ceil(HANGOVER_S * rate)
    energy, p, q = 0.0, 0.0, 0.0
    envelope = []
    for sample in samples:
        x = abs(sample) / 32768
        energy += x * x
        p = keep * p + (1 - keep) * x
        q = keep * q + (1 - keep) * p
        envelope.append(q)
    if energy == 0:
        return None
    # How long each threshold was passed, with the hang-over after each passing.
    levels = []
    for threshold in THRESHOLDS_DBOV:
        limit = 10 ** (threshold / 20)
        active, left = 0, 0
        for q in envelope:
            if q >= limit:
                left = hang
                active += 1
            elif left:
                left -= 1
                active += 1
        levels.append(10 * math.log10(energy / active) if active else None)
    # From the lowest threshold up the distance of the level from its threshold shrinks. Where it
    # passes the margin, a straight line between the two neighbours finds the point. (Far above it may
    # grow again, where a threshold is passed for a moment only.)
    before = None
    for threshold, level in reversed(list(zip(THRESHOLDS_DBOV, levels))):
        if level is None:
            break
        distance = level - threshold
        if distance <= MARGIN_DB:
            if before is None:
                return None
            part = (before[1] - MARGIN_DB) / (before[1] - distance)
            level = before[0] + part * (level - before[0])
            total = 10 * math.log10(energy / len(envelope))
            return level, 10 ** ((total - level) / 10)
        before = (level, distance)
    return None


if __name__ == "__main__":
    import sys
    import wave
    from array import array

    for name in sys.argv[1:]:
        with wave.open(name) as file:
            measured = active_level(array("h", file.readframes(file.getnframes())), file.getframerate())
        print(name, "silent" if measured is None else "%.2f dBov, active %.0f %%" % (measured[0], measured[1] * 100))
