// Package antiphon is everything that a waPC guest in Go needs.
//
//	func init() { antiphon.Register("echo", echo) }
//	func main() {}
//
// Build with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
//
// Operations are registered in init functions: a guest's main never runs.
package antiphon

import (
	"errors"
	"unsafe"
)

// Handler is an operation: it gets the payload, which it may keep, and gives back the answer,
// or an error whose text goes to the host.
type Handler func(payload []byte) ([]byte, error)

var handlers = map[string]Handler{}

// Register adds an operation, in the place of one of the same name.
func Register(operation string, handler Handler) {
	handlers[operation] = handler
}

// HostCall calls the host. Where the host has no answer, the error has its text.
func HostCall(binding, namespace, operation string, payload []byte) ([]byte, error) {
	ok := hostCall(
		unsafe.Pointer(unsafe.StringData(binding)), uint32(len(binding)),
		unsafe.Pointer(unsafe.StringData(namespace)), uint32(len(namespace)),
		unsafe.Pointer(unsafe.StringData(operation)), uint32(len(operation)),
		pointer(payload), uint32(len(payload)))
	if ok == 0 {
		text := make([]byte, hostErrorLen())
		hostError(pointer(text))
		return nil, errors.New(string(text))
	}
	answer := make([]byte, hostResponseLen())
	hostResponse(pointer(answer))
	return answer, nil
}

// Log writes a line to the host's log.
func Log(line string) {
	consoleLog(unsafe.Pointer(unsafe.StringData(line)), uint32(len(line)))
}

// The host calls this. A panic tells the host its text, then ends the instance.
//
//go:wasmexport __guest_call
func guestCall(operationLen, payloadLen uint32) int32 {
	defer func() {
		if value := recover(); value != nil {
			fail(textOf(value))
			panic(value)
		}
	}()
	operation, payload := make([]byte, operationLen), make([]byte, payloadLen)
	guestRequest(pointer(operation), pointer(payload))
	handler, found := handlers[string(operation)]
	if !found {
		fail("No handler registered for function " + string(operation))
		return 0
	}
	answer, err := handler(payload)
	if err != nil {
		fail(err.Error())
		return 0
	}
	guestResponse(pointer(answer), uint32(len(answer)))
	return 1
}

// The text of a panic's value. By hand: package fmt would make every guest larger by half a megabyte.
func textOf(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case error:
		return value.Error()
	case interface{ String() string }:
		return value.String()
	default:
		return "panic with a value that has no text"
	}
}

func fail(text string) {
	guestError(unsafe.Pointer(unsafe.StringData(text)), uint32(len(text)))
}

func pointer(bytes []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(bytes))
}

//go:wasmimport wapc __guest_request
func guestRequest(operation, payload unsafe.Pointer)

//go:wasmimport wapc __guest_response
func guestResponse(answer unsafe.Pointer, length uint32)

//go:wasmimport wapc __guest_error
func guestError(text unsafe.Pointer, length uint32)

//go:wasmimport wapc __host_call
func hostCall(
	binding unsafe.Pointer, bindingLen uint32,
	namespace unsafe.Pointer, namespaceLen uint32,
	operation unsafe.Pointer, operationLen uint32,
	payload unsafe.Pointer, payloadLen uint32) int32

//go:wasmimport wapc __host_response_len
func hostResponseLen() uint32

//go:wasmimport wapc __host_response
func hostResponse(answer unsafe.Pointer)

//go:wasmimport wapc __host_error_len
func hostErrorLen() uint32

//go:wasmimport wapc __host_error
func hostError(text unsafe.Pointer)

//go:wasmimport wapc __console_log
func consoleLog(line unsafe.Pointer, length uint32)
