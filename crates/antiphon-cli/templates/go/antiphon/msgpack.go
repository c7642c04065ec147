package antiphon

import (
	"encoding/binary"
	"errors"
)

// ErrMessage says that a message is cut short, or has a value of another type than was read.
var ErrMessage = errors.New("the MessagePack message is not as expected")

// Reader reads a MessagePack message from its start to its end.
//
// What does not fit is remembered, and every read after it gives nothing: look at it once, with End.
type Reader struct {
	rest []byte
	err  error
}

// NewReader reads a message. Strings are copied out of it.
func NewReader(message []byte) *Reader { return &Reader{rest: message} }

// End gives back an error unless all of the message was read, and all of it was as expected.
func (r *Reader) End() error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = ErrMessage
	}
	return r.err
}

// OK says whether all was as expected so far.
func (r *Reader) OK() bool { return r.err == nil }

// Uint reads a whole number that is not negative and at most max.
func (r *Reader) Uint(max uint64) uint64 {
	tag := byte(r.number(1))
	var value uint64
	switch {
	case tag <= 0x7f:
		value = uint64(tag)
	case tag >= 0xcc && tag <= 0xcf:
		value = r.number(1 << (tag - 0xcc))
	case tag >= 0xd0 && tag <= 0xd3:
		length := 1 << (tag - 0xd0)
		value = r.number(length)
		// The sign bit of a number of that length.
		if value>>(8*length-1) != 0 {
			return r.fail()
		}
	default:
		return r.fail()
	}
	if value > max {
		return r.fail()
	}
	return value
}

// String reads text.
func (r *Reader) String() string {
	return string(r.take(r.length(0xa0, 0x1f, 0xd9, 1)))
}

// Map reads the number of pairs of a map; a key and a value follow for each.
func (r *Reader) Map() int {
	return int(r.length(0x80, 0x0f, 0xde, 2))
}

// Skip passes over a value of any type, with all that is in it.
func (r *Reader) Skip() {
	// Counted, not recursive: no message makes the stack deep. A value takes a byte at least, so
	// the loop ends with the message.
	for left := uint64(1); left > 0 && r.err == nil; left-- {
		tag := byte(r.number(1))
		switch {
		case tag >= 0x80 && tag <= 0x8f:
			left += uint64(tag&0x0f) * 2
		case tag >= 0x90 && tag <= 0x9f:
			left += uint64(tag & 0x0f)
		case tag >= 0xa0 && tag <= 0xbf:
			r.take(uint64(tag & 0x1f))
		case tag == 0xc1:
			r.fail()
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
			left += r.number(2 << (tag - 0xdc))
		case tag == 0xde || tag == 0xdf:
			left += r.number(2<<(tag-0xde)) * 2
		}
	}
}

// A length: in the tag itself if that is in fix (under mask), else in the 1, 2 or 4 bytes after it.
func (r *Reader) length(fix, mask, first byte, shortest int) uint64 {
	tag := byte(r.number(1))
	if tag&^mask == fix {
		return uint64(tag & mask)
	}
	for length := shortest; length <= 4; length *= 2 {
		if tag == first {
			return r.number(length)
		}
		first++
	}
	return r.fail()
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
	if r.err != nil || length > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	taken := r.rest[:length]
	r.rest = r.rest[length:]
	return taken
}

func (r *Reader) fail() uint64 {
	r.rest, r.err = nil, ErrMessage
	return 0
}

// Writer writes a MessagePack message. The zero Writer is an empty one.
type Writer struct{ message []byte }

// Message is what was written so far.
func (w *Writer) Message() []byte { return w.message }

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

// String writes text.
func (w *Writer) String(text string) {
	switch length := len(text); {
	case length <= 0x1f:
		w.message = append(w.message, 0xa0|byte(length))
	case length <= 0xff:
		w.message = append(w.message, 0xd9, byte(length))
	case length <= 0xffff:
		w.message = binary.BigEndian.AppendUint16(append(w.message, 0xda), uint16(length))
	default:
		w.message = binary.BigEndian.AppendUint32(append(w.message, 0xdb), uint32(length))
	}
	w.message = append(w.message, text...)
}

// Map begins a map of so many pairs; a key and a value have to follow for each.
func (w *Writer) Map(pairs int) {
	switch {
	case pairs <= 0x0f:
		w.message = append(w.message, 0x80|byte(pairs))
	case pairs <= 0xffff:
		w.message = binary.BigEndian.AppendUint16(append(w.message, 0xde), uint16(pairs))
	default:
		w.message = binary.BigEndian.AppendUint32(append(w.message, 0xdf), uint32(pairs))
	}
}
