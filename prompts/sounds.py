"""Tones and waiting music, made from sums of sines: ours, and the same on every run.

Everything lies between 300 and 3,400 Hz, so that a narrowband call hears it whole, and begins and
ends in silence, so that nothing clicks.
"""

import math
import pathlib
import sys
import wave
from array import array

RATE = 16_000

# Equal temperament from A4 = 440 Hz.
NOTES = {name: i for i, name in enumerate("C C# D D# E F F# G G# A A# B".split())}


def frequency(note):
    """Of a name such as "F#4"."""
    return 440 * 2 ** ((NOTES[note[:-1]] - 9) / 12 + int(note[-1]) - 4)


def bell(note, seconds, decay, attack=0.02):
    """One struck note: a fundamental and two soft partials that die away sooner."""
    base = frequency(note)
    length = int(seconds * RATE)
    rise = int(attack * RATE)
    fall = int(min(0.06, seconds / 4) * RATE)
    out = []
    for n in range(length):
        t = n / RATE
        value = sum(
            share * math.sin(2 * math.pi * base * factor * t) * math.exp(-t / (decay / factor))
            for share, factor in ((1.0, 1), (0.25, 2), (0.08, 3))
        )
        if n < rise:
            value *= 0.5 - 0.5 * math.cos(math.pi * n / rise)
        if n >= length - fall:
            value *= 0.5 - 0.5 * math.cos(math.pi * (length - 1 - n) / fall)
        out.append(value)
    return out


def chime(notes):
    """Bells 110 ms apart, together below 400 ms."""
    step = int(0.11 * RATE)
    last = 0.40 - 0.11 * (len(notes) - 1) - 0.01
    out = [0.0] * int(0.40 * RATE)
    for i, note in enumerate(notes):
        for n, value in enumerate(bell(note, last if i == len(notes) - 1 else 0.18, 0.12)):
            if i * step + n < len(out):
                out[i * step + n] += value
    return out


# Eight bars of 3.75 s: chord tones low to high, played up and down.
BARS = [
    "D4 A4 D5 F#5", "B4 D5 F#5 B5", "G4 B4 D5 G5", "A4 C#5 E5 A5",
    "D4 F#4 A4 D5", "E4 G4 B4 E5", "G4 A4 D5 G5", "A4 D5 E5 A5",
]
BAR_SECONDS = 3.75
PATTERN = [0, 1, 2, 3, 2, 1]


def music():
    """30 s. A note that outlasts the end goes on at the beginning, so the loop has no seam."""
    total = int(BAR_SECONDS * len(BARS) * RATE)
    out = [0.0] * total
    for bar, chord in enumerate(BARS):
        chord = chord.split()
        step = BAR_SECONDS / len(PATTERN)
        for i, tone in enumerate(PATTERN):
            at = int((bar * BAR_SECONDS + i * step) * RATE)
            soft = 1.0 if i == 0 else 0.7
            for n, value in enumerate(bell(chord[tone], 2.4, 0.9, attack=0.03)):
                out[(at + n) % total] += soft * value
    return out


def scaled(samples, level_dbov):
    """As 16-bit samples whose mean power is `level_dbov`."""
    power = math.sqrt(sum(value * value for value in samples) / len(samples))
    gain = 32768 * 10 ** (level_dbov / 20) / power
    return [round(value * gain) for value in samples]


# 0 dBm0 is -6.15 dBov. Speech is at -16 dBm0; tones and music stay 10 dB below it.
SOUND_DBOV = -32.15

SOUNDS = {
    "join-tone": lambda: chime(["D5", "A5"]),
    "leave-tone": lambda: chime(["A5", "D5"]),
    "name-tone": lambda: bell("A5", 0.3, 0.25),
    "hand-tone": lambda: chime(["A5", "A5"]),
    "joined-without-code-tone": lambda: chime(["D5", "A5", "D5"]),
    "music": music,
}


def sound(name):
    return scaled(SOUNDS[name](), SOUND_DBOV)


def write(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        data = array("h", samples)
        if sys.byteorder == "big":
            data.byteswap()
        file.writeframes(data.tobytes())


if __name__ == "__main__":
    for name in SOUNDS:
        write(pathlib.Path(sys.argv[1]) / f"{name}.wav", sound(name))
