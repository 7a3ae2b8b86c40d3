"""Eight machine words side by side as one value of compiled code: the only place that knows about vectors.

Kernels written with the functions below run on one 64-bit word and, unchanged, on a vector of eight of them, with the
same bits. LLVM spells the vector out for every processor; where there is AVX-512 it is one register, and a logical
function of three operands one instruction.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

LANES = 8
"""Words in a vector, on every machine: the order of the random bits must not depend on the processor."""

_WORD = ir.IntType(64)
_VECTOR = ir.VectorType(_WORD, LANES)


class Words(types.Type):
    """The type of a vector of eight words."""

    def __init__(self):
        super().__init__("eight_words")


eight_words = Words()


@register_model(Words)
class _WordsModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


def _spread(builder, value, like):
    """Copy a word into all lanes of what it is to be like."""
    if not isinstance(like, Words):
        return value
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _address(context, builder, array_type, array, start):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [start]), _VECTOR.as_pointer())


@intrinsic
def load_eight(typing, array, start):
    """Eight words of a contiguous uint64 array, from a position in its flat order on."""

    def build(context, builder, signature, arguments):
        return builder.load(_address(context, builder, signature.args[0], *arguments), align=8)

    return eight_words(array, types.intp), build


@intrinsic
def store_eight(typing, array, start, value):
    """Put eight words into a contiguous uint64 array, from a position in its flat order on."""

    def build(context, builder, signature, arguments):
        array, start, value = arguments
        builder.store(value, _address(context, builder, signature.args[0], array, start), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, eight_words), build


@intrinsic
def store_signs(typing, array, start, word):
    """Put the bits of a word into a contiguous int8 array, from a position in its flat order on: set +1, else -1."""

    def build(context, builder, signature, arguments):
        array, start, word = arguments
        signs = ir.VectorType(ir.IntType(8), 64)
        data = context.make_array(signature.args[0])(context, builder, array).data
        address = builder.bitcast(builder.gep(data, [start]), signs.as_pointer())
        is_set = builder.bitcast(word, ir.VectorType(ir.IntType(1), 64))
        value = builder.select(is_set, ir.Constant(signs, [1] * 64), ir.Constant(signs, [-1] * 64))
        builder.store(value, address, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.uint64), build


@intrinsic
def load_signs(typing, array, start):
    """64 values of a contiguous int8 array, from a position in its flat order on, as a word: set where positive."""

    def build(context, builder, signature, arguments):
        array, start = arguments
        signs = ir.VectorType(ir.IntType(8), 64)
        data = context.make_array(signature.args[0])(context, builder, array).data
        values = builder.load(builder.bitcast(builder.gep(data, [start]), signs.as_pointer()), align=1)
        is_up = builder.icmp_signed(">", values, ir.Constant(signs, [0] * 64))
        return builder.bitcast(is_up, _WORD)

    return types.uint64(array, types.intp), build


def _alike(*operands):
    """Type a function of vectors, or of words, that gives the same: only vectors where words have it already."""
    first = operands[0]
    return first if all(operand == first for operand in operands) else None


def _extend(function, instruction):
    """Give vectors an operator that words have: one instruction, no function to compile."""

    @type_callable(function)
    def typed(context):
        return lambda *operands: _alike(*operands) if isinstance(operands[0], Words) else None

    def lowered(context, builder, signature, arguments):
        return getattr(builder, instruction)(*arguments)

    lower_builtin(function, *[Words] * (1 if function is operator.invert else 2))(lowered)


_extend(operator.and_, "and_")
_extend(operator.or_, "or_")
_extend(operator.xor, "xor")
_extend(operator.add, "add")
_extend(operator.invert, "not_")


def _shift(instruction):
    @intrinsic
    def shift(typing, value, places):
        def build(context, builder, signature, arguments):
            value, places = arguments
            return getattr(builder, instruction)(value, _spread(builder, places, signature.return_type))

        return value(value, types.uint64), build

    return shift


shifted_up = _shift("shl")
shifted_down = _shift("lshr")


@intrinsic
def moved_lanes(typing, value, lanes):
    """Move the words of a vector to lanes as much higher as a constant says, from lower ones below 0; zeros follow."""

    def build(context, builder, signature, arguments):
        nothing = ir.Constant(_VECTOR, [0] * LANES)
        places = [lane - lanes.literal_value for lane in range(LANES)]
        mask = [place if 0 <= place < LANES else LANES for place in places]
        kind = ir.VectorType(ir.IntType(32), LANES)
        return builder.shuffle_vector(arguments[0], nothing, ir.Constant(kind, mask))

    if not isinstance(lanes, types.IntegerLiteral):
        return None
    return value(value, lanes), build


@intrinsic
def first_lane(typing, value):
    """Return the word in the first lane."""

    def build(context, builder, signature, arguments):
        return builder.extract_element(arguments[0], ir.Constant(ir.IntType(32), 0))

    return types.uint64(value), build


@intrinsic
def alike(typing, word, like):
    """Return a word in every lane of what it is to be like."""

    def build(context, builder, signature, arguments):
        return _spread(builder, arguments[0], signature.return_type)

    return like(types.uint64, like), build


@intrinsic
def any_set(typing, value):
    """Whether a bit is set."""

    def build(context, builder, signature, arguments):
        value = arguments[0]
        if isinstance(signature.args[0], Words):
            kind = ir.FunctionType(_WORD, (_VECTOR,))
            value = builder.call(builder.module.declare_intrinsic("llvm.vector.reduce.or.v8i64", (), kind), [value])
        return builder.icmp_unsigned("!=", value, ir.Constant(_WORD, 0))

    return types.boolean(value), build


@intrinsic
def population(typing, word):
    """Number of set bits of a word, int64."""

    def build(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), build


def _has_one_instruction():
    """Whether the code is compiled for a processor with AVX-512; NUMBA_CPU_NAME=generic is one without."""
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return "+avx512f" in features


class _Traced:
    """A value under construction: a formula of such values writes its instructions."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def __and__(self, other):
        return _Traced(self.builder, self.builder.and_(self.value, other.value))

    def __or__(self, other):
        return _Traced(self.builder, self.builder.or_(self.value, other.value))

    def __xor__(self, other):
        return _Traced(self.builder, self.builder.xor(self.value, other.value))

    def __invert__(self):
        return _Traced(self.builder, self.builder.not_(self.value))


def _ternary(formula):
    """Compile a logical function of three words or vectors, to one instruction where there is such a thing."""
    table = formula(0xF0, 0xCC, 0xAA) & 0xFF  # the operands' own truth tables: its value for all eight inputs

    @type_callable(formula)
    def typed(context):
        return lambda a, b, c: _alike(a, b, c)

    def lowered(context, builder, signature, arguments):
        if not (isinstance(signature.return_type, Words) and _has_one_instruction()):
            return formula(*[_Traced(builder, argument) for argument in arguments]).value
        kind = ir.FunctionType(_VECTOR, (_VECTOR, _VECTOR, _VECTOR, ir.IntType(32)))
        ternlog = builder.module.declare_intrinsic("llvm.x86.avx512.pternlog.q.512", (), kind)
        return builder.call(ternlog, [*arguments, ir.Constant(ir.IntType(32), table)])

    for kind in (Words, types.Integer):
        lower_builtin(formula, kind, kind, kind)(lowered)
    return formula


@_ternary
def exclusive_or(a, b, c):
    """Where one or three of the bits are set."""
    return a ^ b ^ c


@_ternary
def choose(a, b, c):
    """The second where the first is set, else the third."""
    return c ^ (a & (b ^ c))


@_ternary
def compare(a, b, c):
    """Whether a number `a` is below a number `b` by this bit, or, where it is the same, by those before it, `c`."""
    return b ^ (~(a ^ b) & (b ^ c))


@_ternary
def agree(a, b, c):
    """Where the third is set, and the first two are equal."""
    return c & ~(a ^ b)
