"""A 3x3 convolution by Winograd's minimal filtering, as code for the CPU at hand.

Winograd's F(4x4, 3x3) makes a patch of 4x4 results from 6x6 inputs with 36 products a channel pair
where the plain sum takes 144. Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks", CVPR 2016. The points are 0, +-sqrt(1/2), +-sqrt(2) and infinity: with the paper's +-1 and
+-2 the rounding error is more than twice as large.

After a nearest-neighbour doubling, neighbours are equal in pairs. With +-1 among the points one value
of the six is then always zero in each direction, so that 25 products are left of the 36; and the
doubled picture need not exist, as its pixels are read off the small one.

The patches are worked on in blocks of BLOCK, small enough that everything between the three steps
(transform, matrix product for each point, transform back) stays in the core's own cache.

A picture here is a list of planes of `lanes` channels, each (rows + border, columns + border, lanes)
with a border of zeros, one pixel wide at the top and left and wide enough at the other sides for
whole patches. One pixel of a plane is one vector register.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sixteenfold.kernels import PATCH
from sixteenfold.kernels.assembly import Code, Machine

BLOCK = 24

ARGUMENTS = {
    "sources": "ptr",  # addresses of the input planes
    "source_row": "i64",  # floats from one row to the next
    "in_channels": "i64",  # a multiple of the lanes, as out_channels
    "targets": "ptr",  # addresses of the output planes
    "target_row": "i64",
    "out_channels": "i64",
    "weights": "ptr",  # (points squared, out_channels / width, in_channels, width)
    "bias": "ptr",
    "across": "i64",  # patches side by side in the picture
    "added0": "ptr",  # addresses of the planes to add to the output; rows as its own
    "added1": "ptr",
    "scratch": "ptr",  # `scratch_floats` floats for one thread
    "first": "i64",  # which patches to make: first up to last - 1, counted row by row
    "last": "i64",
}


@dataclass(frozen=True)
class Points:
    """Where the polynomials of Winograd's method are evaluated: 0, a, -a, b, -b and infinity."""

    a: float
    b: float
    doubled: bool = False
    """Read the input as if doubled. Takes a = 1; the value at -a, always zero, is left out."""

    @property
    def used(self) -> tuple[int, ...]:
        """The indices of the points that have a product."""
        return (0, 1, 3, 4, 5) if self.doubled else (0, 1, 2, 3, 4, 5)

    def filters(self) -> list[list[float]]:
        """Lavin and Gray's G: a row of three for each used point."""
        finite = (0.0, self.a, -self.a, self.b, -self.b)
        rows = [[p**k / math.prod(p - q for q in finite if q != p) for k in range(3)] for p in finite]
        rows.append([0.0, 0.0, 1.0])
        return [rows[i] for i in self.used]


SAME_SIZE = Points(math.sqrt(0.5), math.sqrt(2.0))
DOUBLING = Points(1.0, 0.5, doubled=True)


@dataclass(frozen=True)
class Variant:
    """What the machine code of a convolution is made for."""

    points: Points = SAME_SIZE
    slope: float = 1.0
    """LeakyReLU's below zero; 1 for no activation."""
    added: tuple[float, ...] = ()
    """Factors of the pictures that are added at the end, at most two."""
    vectors: int = 2
    """Width of the pieces of the matrix product; out_channels are a multiple of so many vectors."""


def expansion(machine: Machine, points: Points) -> Code:
    """The code that makes a layer's 9 filter values into the points' 36 (or 25), Lavin and Gray's G g G^T.

    It is cheap and runs each time: kept, the expanded weights would take four times the memory.
    `%source`: (9, n) floats, `%target`: (points squared, n), `%size`: n, a multiple of the lanes.
    """
    code = Code(machine, {"source": "ptr", "target": "ptr", "size": "i64"})
    with code.loop(0, "%size", machine.lanes) as i:
        g = [code.load(code.at("%source", code.add(code.times(tap, "%size"), i))) for tap in range(9)]
        columns = [_evaluate(code, points, g[x::3]) for x in range(3)]
        for y in range(len(points.used)):
            for x, v in enumerate(_evaluate(code, points, [column[y] for column in columns])):
                point = y * len(points.used) + x
                code.store(v, code.at("%target", code.add(code.times(point, "%size"), i)))
    return code


def scratch_floats(in_channels: int, out_channels: int) -> int:
    """The scratch memory that one thread needs for a convolution."""
    return 36 * (_pitch(in_channels) + _pitch(out_channels))


def _pitch(channels: int) -> int:
    # Floats from one point's values to the next's. The 16 keep the 36 values of a patch out of the
    # same few cache lines, where a distance of whole pages would put them.
    return BLOCK * channels + 16


def convolution(machine: Machine, variant: Variant) -> Code:
    """The code of a 3x3 convolution with bias and padding 1, and what `variant` adds to it."""
    code = Code(machine, ARGUMENTS)
    step = PATCH // 2 if variant.points.doubled else PATCH
    inputs = code.value("getelementptr float, ptr %scratch, i64 0")
    in_pitch = code.add(code.times("%in_channels", BLOCK), 16)
    outputs = code.at(inputs, code.times(in_pitch, 36))
    out_pitch = code.add(code.times("%out_channels", BLOCK), 16)
    with code.loop("%first", "%last", BLOCK) as start:
        rest = code.value(f"sub i64 %last, {start}")
        fits = code.value(f"icmp slt i64 {rest}, {BLOCK}")
        count = code.value(f"select i1 {fits}, i64 {rest}, i64 {BLOCK}")
        _read(code, variant.points, (start, count, step), inputs, in_pitch)
        _multiply(code, variant, count, (inputs, in_pitch), (outputs, out_pitch))
        _write(code, variant, (start, count), outputs, out_pitch)
    return code


def _read(code: Code, points: Points, patches: tuple[str, str, int], inputs: str, pitch: str) -> None:
    """Transform the block's inputs: planes -> (point, patch, channel)."""
    start, count, step = patches
    # Rows (and columns) of the plane that hold the six of the patch.
    places = (0, 1, 1, 2, 2, 3) if points.doubled else (0, 1, 2, 3, 4, 5)
    lanes = code.machine.lanes
    with code.loop(0, "%in_channels", lanes) as channel:
        plane = code.plane("%sources", code.value(f"udiv i64 {channel}, {lanes}"))
        with code.loop(0, count, 1) as patch:
            corner = code.at(plane, _corner(code, code.add(start, patch), "%source_row", step))
            rows = [code.at(corner, code.times(y, "%source_row")) for y in range(max(places) + 1)]
            pixel = {(y, x): code.load(code.at(rows[y], x * lanes)) for y in set(places) for x in set(places)}
            columns = [_transform(code, points, [pixel[y, x] for y in places]) for x in places]
            target = code.at(inputs, code.add(code.times(patch, "%in_channels"), channel))
            for y in range(len(points.used)):
                for x, v in enumerate(_transform(code, points, [column[y] for column in columns])):
                    code.store(v, code.at(target, code.times(y * len(points.used) + x, pitch)))


def _multiply(code: Code, variant: Variant, count: str, inputs: tuple[str, str], outputs: tuple[str, str]) -> None:
    """For each point: (patch, in channel) times (in channel, out channel) -> (patch, out channel)."""
    width = variant.vectors * code.machine.lanes
    size = code.times("%in_channels", "%out_channels")
    with code.loop(0, len(variant.points.used) ** 2, 1) as point:
        left = code.at(inputs[0], code.times(point, inputs[1]))
        right = code.at("%weights", code.times(point, size))
        result = code.at(outputs[0], code.times(point, outputs[1]))
        with code.loop(0, "%out_channels", width) as column:
            factors = code.at(right, code.times(column, "%in_channels"))
            # The last rows may lie beyond the count: they hold an older block's values, which nobody reads.
            with code.loop(0, count, code.machine.rows) as row:
                rows = code.at(left, code.times(row, "%in_channels"))
                piece = code.at(result, code.add(code.times(row, "%out_channels"), column))
                _product(code, variant.vectors, rows, factors, piece)


def _product(code: Code, vectors: int, left: str, right: str, result: str) -> None:
    """A piece of a matrix product, `rows` high and `vectors` wide, summed in registers."""
    lanes, height = code.machine.lanes, code.machine.rows
    rows = [code.at(left, code.times(y, "%in_channels")) for y in range(height)]
    sums = [[code.variable(code.vector, "zeroinitializer") for _ in range(vectors)] for _ in range(height)]
    with code.loop(0, "%in_channels", 1) as k:
        line = code.at(right, code.times(k, vectors * lanes))
        factors = [code.load(code.at(line, x * lanes)) for x in range(vectors)]
        for y in range(height):
            number = code.repeated(code.at(rows[y], k))
            for x in range(vectors):
                code.store(code.fma(number, factors[x], code.load(sums[y][x])), sums[y][x])
    for y in range(height):
        target = code.at(result, code.times(y, "%out_channels"))
        for x in range(vectors):
            code.store(code.load(sums[y][x]), code.at(target, x * lanes))


def _write(code: Code, variant: Variant, patches: tuple[str, str], outputs: str, pitch: str) -> None:
    """Transform the products back, finish the pixels: (point, patch, channel) -> planes."""
    start, count = patches
    lanes, side = code.machine.lanes, len(variant.points.used)
    with code.loop(0, "%out_channels", lanes) as channel:
        index = code.value(f"udiv i64 {channel}, {lanes}")
        planes = [code.plane(table, index) for table in ("%targets", "%added0", "%added1")[: 1 + len(variant.added)]]
        bias = code.load(code.at("%bias", channel))
        with code.loop(0, count, 1) as patch:
            source = code.at(outputs, code.add(code.times(patch, "%out_channels"), channel))
            products = [code.load(code.at(source, code.times(i, pitch))) for i in range(side * side)]
            columns = [_transform_back(code, variant.points, products[x::side]) for x in range(side)]
            # Past the border of zeros: one row and one pixel.
            corner = code.add(_corner(code, code.add(start, patch), "%target_row", PATCH), "%target_row", lanes)
            for y in range(PATCH):
                line = code.add(corner, code.times(y, "%target_row"))
                for x, v in enumerate(_transform_back(code, variant.points, [column[y] for column in columns])):
                    pixel = code.add(line, x * lanes)
                    done = _activated(code, code.plus(v, bias), variant.slope)
                    for factor, plane in zip(variant.added, planes[1:], strict=True):
                        done = code.fma(factor, code.load(code.at(plane, pixel)), done)
                    code.store(done, code.at(planes[0], pixel))


def _activated(code: Code, x: str, slope: float) -> str:
    """LeakyReLU; x itself where the slope is 1."""
    return x if slope == 1.0 else code.larger(x, code.scaled(slope, x))


def _corner(code: Code, patch: str, row: str, step: int) -> str:
    """The offset in a plane of a patch's first pixel, patches being `step` pixels apart."""
    down = code.value(f"udiv i64 {patch}, %across")
    right = code.value(f"urem i64 {patch}, %across")
    return code.add(code.times(code.times(down, step), row), code.times(right, step * code.machine.lanes))


def _evaluate(code: Code, points: Points, g: Sequence[str]) -> list[str]:
    """Lavin and Gray's G g: three filter values along a row or column -> one for each used point."""
    return [code.fma(r[2], g[2], code.fma(r[1], g[1], code.scaled(r[0], g[0]))) for r in points.filters()]


def _transform(code: Code, points: Points, d: Sequence[str]) -> list[str]:
    """Lavin and Gray's B^T d: six values along a row or column -> one for each used point."""
    aa, bb = points.a**2, points.b**2
    pairs: list[str] = []
    for own, other, point in ((points.a, bb, 1), (points.b, aa, 3)):
        even, odd = code.fma(-other, d[2], d[4]), code.fma(-other, d[1], d[3])
        pairs.append(code.fma(own, odd, even))
        if point + 1 in points.used:
            pairs.append(code.fma(-own, odd, even))
    zero = code.fma(aa * bb, d[0], code.fma(-(aa + bb), d[2], d[4]))
    infinity = code.fma(aa * bb, d[1], code.fma(-(aa + bb), d[3], d[5]))
    return [zero, *pairs, infinity]


def _transform_back(code: Code, points: Points, m: Sequence[str]) -> list[str]:
    """Lavin and Gray's A^T m: one value for each used point -> four along a row or column."""
    at = dict(zip(points.used, m, strict=True))
    even_a = code.plus(at[1], at[2]) if 2 in at else at[1]
    odd_a = code.minus(at[1], at[2]) if 2 in at else at[1]
    even_b, odd_b = code.plus(at[3], at[4]), code.minus(at[3], at[4])

    def powers(k: int, from_a: str, from_b: str) -> str:
        return code.fma(points.b**k, from_b, code.scaled(points.a**k, from_a))

    return [
        code.plus(at[0], code.plus(even_a, even_b)),
        powers(1, odd_a, odd_b),
        powers(2, even_a, even_b),
        code.plus(at[5], powers(3, odd_a, odd_b)),
    ]
