// An operation that takes and answers MessagePack.

import { Result } from "@wapc/as-guest/assembly";
import { Reader, Writer } from "./msgpack";

/** Takes {name: str, count: u32} and answers {text: str, length: u32}, both in MessagePack. */
export function greet(payload: ArrayBuffer): Result<ArrayBuffer> {
  const reader = new Reader(payload);
  let name = "";
  let count: u64 = 0;
  let hasName = false;
  let hasCount = false;
  for (let pairs = reader.map(); pairs > 0 && !reader.bad; pairs--) {
    const key = reader.string();
    if (key == "name") {
      name = reader.string();
      hasName = true;
    } else if (key == "count") {
      count = reader.uint(u32.MAX_VALUE);
      hasCount = true;
    } else {
      reader.skip();
    }
  }
  reader.require(hasName && hasCount);
  if (!reader.end()) {
    return Result.error<ArrayBuffer>(new Error("greet wants {name: str, count: u32} in MessagePack"));
  }
  if (count > 1000) {
    return Result.error<ArrayBuffer>(new Error("greet says hello 1000 times at most"));
  }

  const hello = "Hello, " + name + "!";
  const text = count > 0 ? (hello + " ").repeat(<i32>count - 1) + hello : "";
  const writer = new Writer();
  writer.map(2);
  writer.string("text");
  writer.string(text);
  writer.string("length");
  writer.uint(String.UTF8.byteLength(text));
  return Result.ok<ArrayBuffer>(writer.message());
}
