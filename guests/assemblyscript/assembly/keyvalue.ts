// A waPC guest with one operation, which uses what a host grants: a value that lasts between calls.

import { Result, handleAbort, handleCall, hostCall, register } from "@wapc/as-guest/assembly";
import { Reader, Writer, describe } from "./msgpack";

// Keeps the payload in the host's store, and answers what it kept before.
register("remember", (payload) => {
  const get = new Writer();
  get.map(1);
  get.string("key");
  get.string("last");
  const got = hostCall("", "keyvalue", "get", get.message());
  if (!got.isOk) return got;

  // The answer has a value only if the key is there.
  let before = new ArrayBuffer(0);
  const reader = new Reader(got.get());
  for (let pairs = reader.map(); pairs > 0 && !reader.bad; pairs--) {
    if (reader.string() == "value") before = reader.bytes();
    else reader.skip();
  }
  if (!reader.end()) return Result.error<ArrayBuffer>(new Error(describe(reader.fault)));

  const put = new Writer();
  put.map(2);
  put.string("key");
  put.string("last");
  put.string("value");
  put.bytes(payload);
  const written = hostCall("", "keyvalue", "put", put.message());
  return written.isOk ? Result.ok<ArrayBuffer>(before) : written;
});

/** What the host calls. The SDK wants it in the entry file. */
export function __guest_call(operationSize: usize, payloadSize: usize): bool {
  return handleCall(operationSize, payloadSize);
}

/** The SDK's own abort, which `asc --use abort=assembly/keyvalue/abort` links in. */
function abort(message: string | null, fileName: string | null, lineNumber: u32, columnNumber: u32): void {
  handleAbort(message, fileName, lineNumber, columnNumber);
}
