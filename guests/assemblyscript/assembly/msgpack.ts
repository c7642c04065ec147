// Reading and writing MessagePack. The public @wapc/as-msgpack does not compile with
// AssemblyScript 0.28.

/** Why a message could not be read. */
export enum Fault {
  None,
  /** The bytes end before the value does. */
  Truncated,
  /** A byte that begins no value, or text that is not UTF-8. */
  Malformed,
  /** A value of another type, a number out of range, or a field that is missing. */
  Mismatch,
  /** Arrays and maps nest deeper than MAX_DEPTH. */
  TooDeep,
  /** Bytes follow the value. */
  Trailing,
}

/** How deep `Reader.enter` goes. */
export const MAX_DEPTH: u32 = 127;

/** The text of a fault, for the host. */
export function describe(fault: Fault): string {
  switch (fault) {
    case Fault.Truncated:
      return "msgpack not decoded: the message ends before its value does";
    case Fault.Malformed:
      return "msgpack not decoded: a byte begins no value, or text is not UTF-8";
    case Fault.Mismatch:
      return "msgpack not decoded: a value is of another type, out of range, or missing";
    case Fault.TooDeep:
      return "msgpack not decoded: arrays and maps nest too deep";
    case Fault.Trailing:
      return "msgpack not decoded: bytes follow the value";
    default:
      return "";
  }
}

/**
 * Reads a message from its start to its end. The first fault stays, and every read after it gives
 * nothing: look at it once, with `end`.
 */
export class Reader {
  private at: u32 = 0;
  private until: u32;
  private depth: u32 = 0;
  /** The values that have to follow: those of the arrays and maps that are not read to their end. */
  private pending: u64 = 1;
  /** Whether the whole number that was read last is negative. */
  private negative: bool = false;
  /** What did not fit. */
  fault: Fault = Fault.None;

  constructor(private message: ArrayBuffer) {
    this.until = <u32>message.byteLength;
  }

  /** Whether something did not fit. */
  get bad(): bool {
    return this.fault != Fault.None;
  }

  /** Whether all of the message was read, and all of it was as expected. */
  end(): bool {
    if (this.at < this.until) this.fail(Fault.Trailing);
    return !this.bad;
  }

  /** Fails unless a field that must be there was found. */
  require(found: bool): void {
    if (!found) this.fail(Fault.Mismatch);
  }

  /** Whether the next value is nil, which is then behind us: for a field that may be nil. */
  nil(): bool {
    return this.is(0xc0);
  }

  /** A truth value. */
  bool(): bool {
    const tag = this.tag();
    if (tag != 0xc2 && tag != 0xc3) this.no(tag);
    return tag == 0xc3;
  }

  /** A whole number that is not negative and at most `max`. */
  uint(max: u64): u64 {
    const value = this.whole();
    return this.negative || value > max ? this.fail(Fault.Mismatch) : value;
  }

  /** A whole number from `min` to `max`. */
  int(min: i64, max: i64): i64 {
    const value = this.whole();
    const fits = this.negative || value <= <u64>i64.MAX_VALUE;
    return fits && <i64>value >= min && <i64>value <= max ? <i64>value : <i64>this.fail(Fault.Mismatch);
  }

  /**
   * A number of any type, rounded where it has to be: encoders write 2.0 as the whole number 2.
   */
  f32(): f32 {
    if (this.is(0xca)) return reinterpret<f32>(<u32>this.number(4));
    if (this.is(0xcb)) return <f32>reinterpret<f64>(this.number(8));
    const value = this.whole();
    return this.negative ? <f32><i64>value : <f32>value;
  }

  /** A number of any type, rounded where it has to be. */
  f64(): f64 {
    if (this.is(0xca)) return <f64>reinterpret<f32>(<u32>this.number(4));
    if (this.is(0xcb)) return reinterpret<f64>(this.number(8));
    const value = this.whole();
    return this.negative ? <f64><i64>value : <f64>value;
  }

  /** Text, in UTF-8. */
  string(): string {
    const length = this.length(0xa0, 0x1f, 0xd9, 1);
    const start = this.take(length);
    if (!this.bad && !this.isUtf8(start, this.at)) this.fail(Fault.Malformed);
    return this.bad ? "" : String.UTF8.decode(this.message.slice(start, this.at));
  }

  /** Bytes (bin). */
  bytes(): ArrayBuffer {
    const length = this.length(0, 0, 0xc4, 1);
    const start = this.take(length);
    return this.bad ? new ArrayBuffer(0) : this.message.slice(start, this.at);
  }

  /** The number of values in an array, which follow. */
  array(): u32 {
    return this.claim(this.length(0x90, 0x0f, 0xdc, 2), 1);
  }

  /** The number of pairs of a map; a key and a value follow for each. */
  map(): u32 {
    return this.claim(this.length(0x80, 0x0f, 0xde, 2), 2);
  }

  /**
   * For a function that calls itself for what is inside an array or a map: call `enter` first, go
   * in only if it says so, and call `leave` after. No message then takes the stack to its end.
   */
  enter(): bool {
    if (this.depth >= MAX_DEPTH) this.fail(Fault.TooDeep);
    if (this.bad) return false;
    this.depth++;
    return true;
  }

  /** Comes after what `enter` allowed. */
  leave(): void {
    this.depth--;
  }

  /** Passes over a value of any type, with all that is in it. */
  skip(): void {
    // Counted, not recursive: no message makes the stack deep.
    const after = max<u64>(this.pending, 1) - 1;
    do {
      const tag = this.tag();
      if (tag >= 0x80 && tag <= 0x8f) {
        this.claim(tag & 0x0f, 2);
      } else if (tag >= 0x90 && tag <= 0x9f) {
        this.claim(tag & 0x0f, 1);
      } else if (tag >= 0xa0 && tag <= 0xbf) {
        this.take(tag & 0x1f);
      } else if (tag == 0xc1) {
        this.no(tag);
      } else if (tag >= 0xc4 && tag <= 0xc6) {
        this.take(this.number(1 << (tag - 0xc4)));
      } else if (tag >= 0xc7 && tag <= 0xc9) {
        this.take(this.number(1 << (tag - 0xc7)) + 1);
      } else if (tag == 0xca || tag == 0xcb) {
        this.take(tag == 0xca ? 4 : 8);
      } else if (tag >= 0xcc && tag <= 0xd3) {
        this.take(1 << ((tag - 0xcc) & 3));
      } else if (tag >= 0xd4 && tag <= 0xd8) {
        this.take((1 << (tag - 0xd4)) + 1);
      } else if (tag >= 0xd9 && tag <= 0xdb) {
        this.take(this.number(1 << (tag - 0xd9)));
      } else if (tag == 0xdc || tag == 0xdd) {
        this.claim(this.number(tag == 0xdc ? 2 : 4), 1);
      } else if (tag == 0xde || tag == 0xdf) {
        this.claim(this.number(tag == 0xde ? 2 : 4), 2);
      }
    } while (this.pending > after && !this.bad);
  }

  /** A whole number of any width, in two's complement. */
  private whole(): u64 {
    const tag = this.tag();
    let value: i64;
    this.negative = false;
    if (tag <= 0x7f) return tag;
    if (tag >= 0xcc && tag <= 0xcf) return this.number(1 << (tag - 0xcc));
    if (tag >= 0xd0 && tag <= 0xd3) {
      const length = <u32>1 << (tag - 0xd0);
      const unused = 64 - 8 * length;
      value = <i64>(this.number(length) << unused) >> unused;
    } else if (tag >= 0xe0) {
      value = <i64><i8>tag;
    } else {
      return this.no(tag);
    }
    this.negative = value < 0;
    return <u64>value;
  }

  /**
   * A length: in the tag itself if that is in `fix` (under `mask`, unless that is 0), else in the
   * 1, 2 or 4 bytes after it.
   */
  private length(fix: u8, mask: u8, first: u8, shortest: u32): u32 {
    const tag = this.tag();
    if (mask > 0 && (tag & ~mask) == fix) return tag & mask;
    for (let length = shortest; length <= 4; length *= 2, first++) {
      if (tag == first) return <u32>this.number(length);
    }
    return <u32>this.no(tag);
  }

  /**
   * So many entries follow, of 1 or 2 values each. A value takes a byte at least: all arrays and maps
   * of a message together claim no more than it has.
   */
  private claim(entries: u64, values: u64): u32 {
    this.pending += entries * values;
    return <u32>(this.pending <= <u64>(this.until - this.at) ? entries : this.fail(Fault.Truncated));
  }

  /** The byte that a value begins with. */
  private tag(): u8 {
    if (this.pending > 0) this.pending--;
    return <u8>this.number(1);
  }

  /** Whether the next value begins with this tag, which is then behind us. */
  private is(tag: u8): bool {
    return this.at < this.until && this.byte(this.at) == tag && this.tag() == tag;
  }

  /** A number of 1, 2, 4 or 8 bytes, most significant first. */
  private number(length: u32): u64 {
    const start = this.take(length);
    let value: u64 = 0;
    for (let at = start; at < this.at; at++) value = (value << 8) | this.byte(at);
    return value;
  }

  /** Where the next `length` bytes begin, which are then behind us. */
  private take(length: u64): u32 {
    const start = this.at;
    if (length > <u64>(this.until - start)) {
      this.fail(Fault.Truncated);
      return this.at;
    }
    this.at = start + <u32>length;
    return start;
  }

  private byte(at: u32): u8 {
    return load<u8>(changetype<usize>(this.message) + at);
  }

  private isUtf8(at: u32, end: u32): bool {
    while (at < end) {
      const lead = this.byte(at++);
      if (lead < 0x80) continue;
      const more: u32 = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
      if (lead < 0xc2 || lead > 0xf4 || more > end - at) return false;
      // The second byte tells what is written longer than it needs, a surrogate, or beyond U+10FFFF.
      const low: u8 = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
      const high: u8 = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
      if (this.byte(at) < low || this.byte(at) > high) return false;
      const next = at + more;
      while (++at < next) {
        if ((this.byte(at) & 0xc0) != 0x80) return false;
      }
    }
    return true;
  }

  /** Fails because of a tag that is none of those expected. */
  private no(tag: u8): u64 {
    return this.fail(tag == 0xc1 ? Fault.Malformed : Fault.Mismatch);
  }

  private fail(fault: Fault): u64 {
    if (!this.bad) this.fault = fault;
    this.until = this.at;
    return 0;
  }
}

/** Writes a message. */
export class Writer {
  private written: u8[] = [];

  /** What was written so far. */
  message(): ArrayBuffer {
    return Uint8Array.wrap(this.written.buffer, 0, this.written.length).slice().buffer;
  }

  /** No value. */
  nil(): void {
    this.tagged(0xc0, 0, 0);
  }

  /** A truth value. */
  bool(value: bool): void {
    this.tagged(value ? 0xc3 : 0xc2, 0, 0);
  }

  /** A whole number, as short as it can be. */
  uint(value: u64): void {
    if (value <= 0x7f) this.tagged(<u8>value, 0, 0);
    else if (value <= 0xff) this.tagged(0xcc, value, 1);
    else if (value <= 0xffff) this.tagged(0xcd, value, 2);
    else if (value <= 0xffffffff) this.tagged(0xce, value, 4);
    else this.tagged(0xcf, value, 8);
  }

  /** A whole number, as short as it can be. */
  int(value: i64): void {
    if (value >= 0) this.uint(value);
    else if (value >= -32) this.tagged(<u8>value, 0, 0);
    else if (value >= i8.MIN_VALUE) this.tagged(0xd0, value, 1);
    else if (value >= i16.MIN_VALUE) this.tagged(0xd1, value, 2);
    else if (value >= i32.MIN_VALUE) this.tagged(0xd2, value, 4);
    else this.tagged(0xd3, value, 8);
  }

  /** A number of four bytes. */
  f32(value: f32): void {
    this.tagged(0xca, reinterpret<u32>(value), 4);
  }

  /** A number of eight bytes. */
  f64(value: f64): void {
    this.tagged(0xcb, reinterpret<u64>(value), 8);
  }

  /** Text. */
  string(text: string): void {
    const bytes = String.UTF8.encode(text);
    this.length(bytes.byteLength, 0xa0, 0x1f, 0xd9, 1);
    this.append(bytes);
  }

  /** Bytes (bin). */
  bytes(bytes: ArrayBuffer): void {
    this.length(bytes.byteLength, 0, 0, 0xc4, 1);
    this.append(bytes);
  }

  /** Begins an array of so many values, which have to follow. */
  array(values: u32): void {
    this.length(values, 0x90, 0x0f, 0xdc, 2);
  }

  /** Begins a map of so many pairs; a key and a value have to follow for each. */
  map(pairs: u32): void {
    this.length(pairs, 0x80, 0x0f, 0xde, 2);
  }

  /** A length, as the reader's `length` reads it. */
  private length(length: u32, fix: u8, mask: u8, first: u8, shortest: u32): void {
    if (mask > 0 && length <= mask) {
      this.tagged(fix | <u8>length, 0, 0);
      return;
    }
    let width = shortest;
    for (; width < 4 && length >> (8 * width) > 0; width *= 2) first++;
    this.tagged(first, length, width);
  }

  private append(bytes: ArrayBuffer): void {
    const view = Uint8Array.wrap(bytes);
    for (let i = 0; i < view.length; i++) this.written.push(view[i]);
  }

  /** A tag, then a number of `length` bytes, most significant first. */
  private tagged(tag: u8, value: u64, length: i32): void {
    this.written.push(tag);
    for (let i = length - 1; i >= 0; i--) this.written.push(<u8>(value >> (8 * i)));
  }
}
