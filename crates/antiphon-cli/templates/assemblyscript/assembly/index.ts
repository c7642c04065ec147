// A waPC guest.

import { Result, handleAbort, handleCall, register } from "@wapc/as-guest/assembly";

// Greets whom the payload names. OPERATIONS.md has more operations to copy.
register("hello", (payload) => {
  const name = String.UTF8.decode(payload);
  if (name.length == 0) return Result.error<ArrayBuffer>(new Error("hello wants a name"));
  return Result.ok<ArrayBuffer>(String.UTF8.encode("Hello, " + name + "!"));
});

/** What the host calls. The SDK wants it in the entry file. */
export function __guest_call(operationSize: usize, payloadSize: usize): bool {
  return handleCall(operationSize, payloadSize);
}

/** The SDK's own abort, which asconfig.json links in: the host gets the text of a panic. */
function abort(
  message: string | null,
  fileName: string | null,
  lineNumber: u32,
  columnNumber: u32,
): void {
  handleAbort(message, fileName, lineNumber, columnNumber);
}
