package antiphon

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"
)

// Why a message could not be read.
var (
	// ErrTruncated says that the bytes end before the value does.
	ErrTruncated = errors.New("msgpack not decoded: the message ends before its value does")
	// ErrMalformed says that a byte begins no value, or that text is not UTF-8.
	ErrMalformed = errors.New("msgpack not decoded: a byte begins no value, or text is not UTF-8")
	// ErrMismatch says that a value is of another type than was read, a number is out of range, or a
	// field is missing.
	ErrMismatch = errors.New("msgpack not decoded: a value is of another type, out of range, or missing")
	// ErrTooDeep says that arrays and maps nest deeper than MaxDepth.
	ErrTooDeep = errors.New("msgpack not decoded: arrays and maps nest too deep")
	// ErrTrailing says that bytes follow the value.
	ErrTrailing = errors.New("msgpack not decoded: bytes follow the value")
)

// MaxDepth is how deep Reader.Enter goes.
const MaxDepth = 127

// Reader reads a MessagePack message from its start to its end.
//
// The first error stays, and every read after it gives nothing: look at it once, with End.
type Reader struct {
	rest  []byte
	err   error
	depth int
	// The values that have to follow: those of the arrays and maps that are not read to their end.
	pending uint64
}

// NewReader reads a message. Strings are copied out of it.
func NewReader(message []byte) *Reader { return &Reader{rest: message, pending: 1} }

// End gives back the error unless all of the message was read, and all of it was as expected.
func (r *Reader) End() error {
	if len(r.rest) > 0 {
		r.fail(ErrTrailing)
	}
	return r.err
}

// OK says whether all was as expected so far.
func (r *Reader) OK() bool { return r.err == nil }

// Require fails with ErrMismatch unless a field that must be there was found.
func (r *Reader) Require(found bool) {
	if !found {
		r.fail(ErrMismatch)
	}
}

// Nil says whether the next value is nil, which is then behind us: for a field that may be nil.
func (r *Reader) Nil() bool { return r.is(0xc0) }

// Bool reads a truth value.
func (r *Reader) Bool() bool {
	tag := r.tag()
	if tag != 0xc2 && tag != 0xc3 {
		r.no(tag)
	}
	return tag == 0xc3
}

// Uint reads a whole number that is not negative and at most max.
func (r *Reader) Uint(max uint64) uint64 {
	value, negative := r.whole()
	if negative || value > max {
		return r.fail(ErrMismatch)
	}
	return value
}

// Int reads a whole number from min to max.
func (r *Reader) Int(min, max int64) int64 {
	value, negative := r.whole()
	if !negative && value > math.MaxInt64 || int64(value) < min || int64(value) > max {
		return int64(r.fail(ErrMismatch))
	}
	return int64(value)
}

// Float32 reads a number of any type, rounded where it has to be: encoders write 2.0 as the whole number 2.
func (r *Reader) Float32() float32 {
	if r.is(0xca) {
		return math.Float32frombits(uint32(r.number(4)))
	}
	if r.is(0xcb) {
		return float32(math.Float64frombits(r.number(8)))
	}
	value, negative := r.whole()
	if negative {
		return float32(int64(value))
	}
	return float32(value)
}

// Float64 reads a number of any type, rounded where it has to be.
func (r *Reader) Float64() float64 {
	if r.is(0xca) {
		return float64(math.Float32frombits(uint32(r.number(4))))
	}
	if r.is(0xcb) {
		return math.Float64frombits(r.number(8))
	}
	value, negative := r.whole()
	if negative {
		return float64(int64(value))
	}
	return float64(value)
}

// String reads text, in UTF-8.
func (r *Reader) String() string {
	text := r.take(uint64(r.length(0xa0, 0x1f, 0xd9, 1)))
	if !utf8.Valid(text) {
		r.fail(ErrMalformed)
		return ""
	}
	return string(text)
}

// Bytes reads bytes (bin), which point into the message.
func (r *Reader) Bytes() []byte {
	return r.take(uint64(r.length(0, 0, 0xc4, 1)))
}

// Array reads the number of values in an array, which follow. All arrays and maps of a message together
// have no more than the message has bytes, so make may be called with it.
func (r *Reader) Array() int {
	return r.claim(uint64(r.length(0x90, 0x0f, 0xdc, 2)), 1)
}

// Map reads the number of pairs of a map; a key and a value follow for each.
func (r *Reader) Map() int {
	return r.claim(uint64(r.length(0x80, 0x0f, 0xde, 2)), 2)
}

// Enter is for a function that calls itself for what is inside an array or a map: call Enter first, go
// in only if it says so, and call Leave after. No message then takes the stack to its end.
func (r *Reader) Enter() bool {
	if r.depth >= MaxDepth {
		r.fail(ErrTooDeep)
	}
	if r.err != nil {
		return false
	}
	r.depth++
	return true
}

// Leave comes after what Enter allowed.
func (r *Reader) Leave() { r.depth-- }

// Skip passes over a value of any type, with all that is in it.
func (r *Reader) Skip() {
	// Counted, not recursive: no message makes the stack deep.
	after := max(r.pending, 1) - 1
	for more := true; more; more = r.pending > after && r.err == nil {
		tag := r.tag()
		switch {
		case tag >= 0x80 && tag <= 0x8f:
			r.claim(uint64(tag&0x0f), 2)
		case tag >= 0x90 && tag <= 0x9f:
			r.claim(uint64(tag&0x0f), 1)
		case tag >= 0xa0 && tag <= 0xbf:
			r.take(uint64(tag & 0x1f))
		case tag == 0xc1:
			r.no(tag)
		case tag >= 0xc4 && tag <= 0xc6:
			r.take(r.number(1 << (tag - 0xc4)))
		case tag >= 0xc7 && tag <= 0xc9:
			r.take(r.number(1<<(tag-0xc7)) + 1)
		case tag == 0xca:
			r.take(4)
		case tag == 0xcb:
			r.take(8)
		case tag >= 0xcc && tag <= 0xd3:
			r.take(1 << ((tag - 0xcc) & 3))
		case tag >= 0xd4 && tag <= 0xd8:
			r.take(1<<(tag-0xd4) + 1)
		case tag >= 0xd9 && tag <= 0xdb:
			r.take(r.number(1 << (tag - 0xd9)))
		case tag == 0xdc || tag == 0xdd:
			r.claim(r.number(2<<(tag-0xdc)), 1)
		case tag == 0xde || tag == 0xdf:
			r.claim(r.number(2<<(tag-0xde)), 2)
		}
	}
}

// A whole number of any width, in two's complement.
func (r *Reader) whole() (value uint64, negative bool) {
	tag := r.tag()
	switch {
	case tag <= 0x7f:
		return uint64(tag), false
	case tag >= 0xcc && tag <= 0xcf:
		return r.number(1 << (tag - 0xcc)), false
	case tag >= 0xd0 && tag <= 0xd3:
		length := 1 << (tag - 0xd0)
		unused := 64 - 8*length
		number := int64(r.number(length)<<unused) >> unused
		return uint64(number), number < 0
	case tag >= 0xe0:
		return uint64(int64(int8(tag))), true
	default:
		return r.no(tag), false
	}
}

// A length: in the tag itself if that is in fix (under mask, unless that is 0), else in the 1, 2 or 4
// bytes after it.
func (r *Reader) length(fix, mask, first byte, shortest int) uint32 {
	tag := r.tag()
	if mask > 0 && tag&^mask == fix {
		return uint32(tag & mask)
	}
	for length := shortest; length <= 4; length *= 2 {
		if tag == first {
			return uint32(r.number(length))
		}
		first++
	}
	return uint32(r.no(tag))
}

// So many entries follow, of 1 or 2 values each. A value takes a byte at least, so no message claims more
// than it has.
func (r *Reader) claim(entries, values uint64) int {
	r.pending += entries * values
	if r.pending > uint64(len(r.rest)) {
		entries = r.fail(ErrTruncated)
	}
	return int(entries)
}

// The byte that a value begins with.
func (r *Reader) tag() byte {
	if r.pending > 0 {
		r.pending--
	}
	return byte(r.number(1))
}

// Whether the next value begins with this tag, which is then behind us.
func (r *Reader) is(tag byte) bool {
	return len(r.rest) > 0 && r.rest[0] == tag && r.tag() == tag
}

// A number of 1, 2, 4 or 8 bytes, most significant first.
func (r *Reader) number(length int) uint64 {
	var value uint64
	for _, digit := range r.take(uint64(length)) {
		value = value<<8 | uint64(digit)
	}
	return value
}

func (r *Reader) take(length uint64) []byte {
	if length > uint64(len(r.rest)) {
		r.fail(ErrTruncated)
		return nil
	}
	taken := r.rest[:length]
	r.rest = r.rest[length:]
	return taken
}

// Fails because of a tag that is none of those expected.
func (r *Reader) no(tag byte) uint64 {
	if tag == 0xc1 {
		return r.fail(ErrMalformed)
	}
	return r.fail(ErrMismatch)
}

func (r *Reader) fail(err error) uint64 {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
	return 0
}

// Writer writes a MessagePack message. The zero Writer is an empty one.
type Writer struct{ message []byte }

// Message is what was written so far.
func (w *Writer) Message() []byte { return w.message }

// Nil writes that there is no value.
func (w *Writer) Nil() { w.message = append(w.message, 0xc0) }

// Bool writes a truth value.
func (w *Writer) Bool(value bool) {
	if value {
		w.message = append(w.message, 0xc3)
	} else {
		w.message = append(w.message, 0xc2)
	}
}

// Uint writes a whole number, as short as it can be.
func (w *Writer) Uint(value uint64) {
	switch {
	case value <= 0x7f:
		w.message = append(w.message, byte(value))
	case value <= 0xff:
		w.message = append(w.message, 0xcc, byte(value))
	case value <= 0xffff:
		w.message = binary.BigEndian.AppendUint16(append(w.message, 0xcd), uint16(value))
	case value <= 0xffffffff:
		w.message = binary.BigEndian.AppendUint32(append(w.message, 0xce), uint32(value))
	default:
		w.message = binary.BigEndian.AppendUint64(append(w.message, 0xcf), value)
	}
}

// Int writes a whole number, as short as it can be.
func (w *Writer) Int(value int64) {
	switch {
	case value >= 0:
		w.Uint(uint64(value))
	case value >= -32:
		w.message = append(w.message, byte(value))
	case value >= math.MinInt8:
		w.message = append(w.message, 0xd0, byte(value))
	case value >= math.MinInt16:
		w.message = binary.BigEndian.AppendUint16(append(w.message, 0xd1), uint16(value))
	case value >= math.MinInt32:
		w.message = binary.BigEndian.AppendUint32(append(w.message, 0xd2), uint32(value))
	default:
		w.message = binary.BigEndian.AppendUint64(append(w.message, 0xd3), uint64(value))
	}
}

// Float32 writes a number of four bytes.
func (w *Writer) Float32(value float32) {
	w.message = binary.BigEndian.AppendUint32(append(w.message, 0xca), math.Float32bits(value))
}

// Float64 writes a number of eight bytes.
func (w *Writer) Float64(value float64) {
	w.message = binary.BigEndian.AppendUint64(append(w.message, 0xcb), math.Float64bits(value))
}

// String writes text.
func (w *Writer) String(text string) {
	w.length(len(text), 0xa0, 0x1f, 0xd9, 1)
	w.message = append(w.message, text...)
}

// Bytes writes bytes (bin).
func (w *Writer) Bytes(bytes []byte) {
	w.length(len(bytes), 0, 0, 0xc4, 1)
	w.message = append(w.message, bytes...)
}

// Array begins an array of so many values, which have to follow.
func (w *Writer) Array(values int) { w.length(values, 0x90, 0x0f, 0xdc, 2) }

// Map begins a map of so many pairs; a key and a value have to follow for each.
func (w *Writer) Map(pairs int) { w.length(pairs, 0x80, 0x0f, 0xde, 2) }

// A length, as Reader.length reads it.
func (w *Writer) length(length int, fix, mask, first byte, shortest int) {
	switch {
	case mask > 0 && length <= int(mask):
		w.message = append(w.message, fix|byte(length))
	case shortest == 1 && length <= 0xff:
		w.message = append(w.message, first, byte(length))
	case length <= 0xffff:
		w.message = binary.BigEndian.AppendUint16(append(w.message, first+byte(2-shortest)), uint16(length))
	default:
		w.message = binary.BigEndian.AppendUint32(append(w.message, first+byte(3-shortest)), uint32(length))
	}
}
