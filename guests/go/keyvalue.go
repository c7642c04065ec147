package main

import "guest/antiphon"

// An operation that uses what a host grants: a value that lasts between calls.
func init() {
	antiphon.Register("remember", remember)
}

// Keeps the payload in the host's store, and answers what it kept before.
func remember(payload []byte) ([]byte, error) {
	var get antiphon.Writer
	get.Map(1)
	get.String("key")
	get.String("last")
	answer, err := antiphon.HostCall("", "keyvalue", "get", get.Message())
	if err != nil {
		return nil, err
	}

	// The answer has a value only if the key is there.
	var before []byte
	reader := antiphon.NewReader(answer)
	for pairs := reader.Map(); pairs > 0 && reader.OK(); pairs-- {
		if reader.String() == "value" {
			before = reader.Bytes()
		} else {
			reader.Skip()
		}
	}
	if err := reader.End(); err != nil {
		return nil, err
	}

	var put antiphon.Writer
	put.Map(2)
	put.String("key")
	put.String("last")
	put.String("value")
	put.Bytes(payload)
	_, err = antiphon.HostCall("", "keyvalue", "put", put.Message())
	return before, err
}
