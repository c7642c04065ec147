// A waPC guest as its author would write it: the public @wapc/as-guest SDK and
// nothing of Antiphon.

import {
  Result,
  consoleLog,
  handleAbort,
  handleCall,
  hostCall,
  register,
} from "@wapc/as-guest/assembly";
import { greet } from "./greet";

/** The payload as text. */
function text(payload: ArrayBuffer): string {
  return String.UTF8.decode(payload);
}

// Answers the payload.
register("echo", (payload) => Result.ok<ArrayBuffer>(payload));

// Returns a guest error that carries the payload.
register("fail", (payload) =>
  Result.error<ArrayBuffer>(new Error("the guest refused: " + text(payload))));

// Aborts: what the host learns of it depends on which abort is linked in.
register("panic", (payload) => {
  throw new Error("the guest panicked: " + text(payload));
});

// Asks the host to echo the payload and passes on what it said, well or ill.
register("host", (payload) => hostCall("binding", "sample", "echo", payload));

// Writes the payload to the host's console and answers nothing.
register("log", (payload) => {
  consoleLog(text(payload));
  return Result.ok<ArrayBuffer>(new ArrayBuffer(0));
});

// Says hello, in MessagePack.
register("greet", greet);

/** What the host calls. The SDK wants it in the entry file. */
export function __guest_call(operationSize: usize, payloadSize: usize): bool {
  return handleCall(operationSize, payloadSize);
}

/**
 * The SDK's own abort. Only `asc --use abort=assembly/index/abort` links it in;
 * without that the module imports `env.abort`.
 */
function abort(
  message: string | null,
  fileName: string | null,
  lineNumber: u32,
  columnNumber: u32,
): void {
  handleAbort(message, fileName, lineNumber, columnNumber);
}
