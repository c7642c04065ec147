// A waPC guest.
package main

import (
	"errors"

	"guest/antiphon"
)

// Each name that the host calls, and its function. OPERATIONS.md has more to copy.
func init() {
	antiphon.Register("hello", hello)
}

// The toolchain wants it; it never runs.
func main() {}

// Greets whom the payload names.
func hello(name []byte) ([]byte, error) {
	if len(name) == 0 {
		return nil, errors.New("hello wants a name")
	}
	return []byte("Hello, " + string(name) + "!"), nil
}
