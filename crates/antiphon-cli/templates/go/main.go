// A waPC guest in Go.
package main

import (
	"errors"
	"math"
	"strings"

	"guest/antiphon"
)

func init() {
	antiphon.Register("echo", echo)
	antiphon.Register("fail", fail)
	antiphon.Register("panic", panics)
	antiphon.Register("host", host)
	antiphon.Register("log", log)
	antiphon.Register("greet", greet)
}

// The toolchain wants it; it never runs.
func main() {}

// Answers the payload.
func echo(payload []byte) ([]byte, error) {
	return payload, nil
}

// Fails with a text that carries the payload.
func fail(payload []byte) ([]byte, error) {
	return nil, errors.New("the guest refused: " + string(payload))
}

// Panics: the host gets the text, and then the end of the instance.
func panics(payload []byte) ([]byte, error) {
	panic("the guest panicked: " + string(payload))
}

// Asks the host to echo the payload and passes on what it said, well or ill.
func host(payload []byte) ([]byte, error) {
	return antiphon.HostCall("binding", "sample", "echo", payload)
}

// Writes the payload to the host's log and answers nothing.
func log(payload []byte) ([]byte, error) {
	antiphon.Log(string(payload))
	return nil, nil
}

// Takes {name: str, count: u32} and answers {text: str, length: u32}, both in MessagePack.
func greet(payload []byte) ([]byte, error) {
	var name string
	var count uint64
	var hasName, hasCount bool
	reader := antiphon.NewReader(payload)
	for pairs := reader.Map(); pairs > 0 && reader.OK(); pairs-- {
		switch reader.String() {
		case "name":
			name, hasName = reader.String(), true
		case "count":
			count, hasCount = reader.Uint(math.MaxUint32), true
		default:
			reader.Skip()
		}
	}
	reader.Require(hasName && hasCount)
	if reader.End() != nil {
		return nil, errors.New("greet wants {name: str, count: u32} in MessagePack")
	}
	if count > 1000 {
		return nil, errors.New("greet says hello 1000 times at most")
	}

	text := strings.TrimSuffix(strings.Repeat("Hello, "+name+"! ", int(count)), " ")
	var writer antiphon.Writer
	writer.Map(2)
	writer.String("text")
	writer.String(text)
	writer.String("length")
	writer.Uint(uint64(len(text)))
	return writer.Message(), nil
}
