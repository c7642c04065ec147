// Reading and writing MessagePack. The public @wapc/as-msgpack does not compile with
// AssemblyScript 0.28.

/**
 * Reads a message from its start to its end. Whatever does not fit is remembered, and every read
 * after it gives nothing: look at it once, with `end`.
 */
export class Reader {
  private view: DataView;
  private at: u32 = 0;
  /** Whether something did not fit. */
  bad: bool = false;

  constructor(private message: ArrayBuffer) {
    this.view = new DataView(message);
  }

  /** Whether all of the message was read, and all of it was as expected. */
  end(): bool {
    return !this.bad && this.at == <u32>this.message.byteLength;
  }

  /** A whole number that is not negative and at most `max`. */
  uint(max: u64): u64 {
    const tag = <u8>this.number(1);
    let value: u64;
    if (tag <= 0x7f) {
      value = tag;
    } else if (tag >= 0xcc && tag <= 0xcf) {
      value = this.number(1 << (tag - 0xcc));
    } else if (tag >= 0xd0 && tag <= 0xd3) {
      const length = <u32>1 << (tag - 0xd0);
      value = this.number(length);
      // The sign bit of a number of that length.
      if (value >> (8 * length - 1)) return this.no();
    } else {
      return this.no();
    }
    return value <= max ? value : this.no();
  }

  /** Text. */
  string(): string {
    const length = this.length(0xa0, 0x1f, 0xd9, 1);
    const start = this.take(length);
    return this.bad ? "" : String.UTF8.decode(this.message.slice(start, this.at));
  }

  /** The number of pairs of a map; a key and a value follow for each. */
  map(): u32 {
    return <u32>this.length(0x80, 0x0f, 0xde, 2);
  }

  /** Passes over a value of any type, with all that is in it. */
  skip(): void {
    // Counted, not recursive: no message makes the stack deep. A value takes a byte at least, so
    // the loop ends with the message.
    for (let left: u64 = 1; left > 0 && !this.bad; left--) {
      const tag = <u8>this.number(1);
      if (tag >= 0x80 && tag <= 0x8f) {
        left += <u64>(tag & 0x0f) * 2;
      } else if (tag >= 0x90 && tag <= 0x9f) {
        left += tag & 0x0f;
      } else if (tag >= 0xa0 && tag <= 0xbf) {
        this.take(tag & 0x1f);
      } else if (tag == 0xc1) {
        this.no();
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
        left += this.number(tag == 0xdc ? 2 : 4);
      } else if (tag == 0xde || tag == 0xdf) {
        left += this.number(tag == 0xde ? 2 : 4) * 2;
      }
    }
  }

  /** A length: in the tag itself if that is in `fix` (under `mask`), else in the bytes after it. */
  private length(fix: u8, mask: u8, first: u8, shortest: u32): u64 {
    const tag = <u8>this.number(1);
    if ((tag & ~mask) == fix) return tag & mask;
    for (let length = shortest; length <= 4; length *= 2, first++) {
      if (tag == first) return this.number(length);
    }
    return this.no();
  }

  /** A number of 1, 2, 4 or 8 bytes, most significant first. */
  private number(length: u32): u64 {
    const start = this.take(length);
    let value: u64 = 0;
    if (this.bad) return value;
    for (let i: u32 = 0; i < length; i++) value = (value << 8) | this.view.getUint8(start + i);
    return value;
  }

  /** Where the next `length` bytes begin, which are then behind us. */
  private take(length: u64): u32 {
    const start = this.at;
    if (this.bad || length > <u64>(<u32>this.message.byteLength - start)) {
      this.no();
      return 0;
    }
    this.at = start + <u32>length;
    return start;
  }

  private no(): u64 {
    this.bad = true;
    return 0;
  }
}

/** Writes a message. */
export class Writer {
  private bytes: u8[] = [];

  /** What was written so far. */
  message(): ArrayBuffer {
    return Uint8Array.wrap(this.bytes.buffer, 0, this.bytes.length).slice().buffer;
  }

  /** A whole number, as short as it can be. */
  uint(value: u64): void {
    if (value <= 0x7f) this.tagged(<u8>value, 0, 0);
    else if (value <= 0xff) this.tagged(0xcc, value, 1);
    else if (value <= 0xffff) this.tagged(0xcd, value, 2);
    else if (value <= 0xffffffff) this.tagged(0xce, value, 4);
    else this.tagged(0xcf, value, 8);
  }

  /** Text. */
  string(text: string): void {
    const bytes = Uint8Array.wrap(String.UTF8.encode(text));
    const length = <u32>bytes.length;
    if (length <= 0x1f) this.tagged(0xa0 | <u8>length, 0, 0);
    else if (length <= 0xff) this.tagged(0xd9, length, 1);
    else if (length <= 0xffff) this.tagged(0xda, length, 2);
    else this.tagged(0xdb, length, 4);
    for (let i = 0; i < bytes.length; i++) this.bytes.push(bytes[i]);
  }

  /** Begins a map of so many pairs; a key and a value have to follow for each. */
  map(pairs: u32): void {
    if (pairs <= 0x0f) this.tagged(0x80 | <u8>pairs, 0, 0);
    else if (pairs <= 0xffff) this.tagged(0xde, pairs, 2);
    else this.tagged(0xdf, pairs, 4);
  }

  /** A tag, then a number of `length` bytes, most significant first. */
  private tagged(tag: u8, value: u64, length: i32): void {
    this.bytes.push(tag);
    for (let i = length - 1; i >= 0; i--) this.bytes.push(<u8>(value >> (8 * i)));
  }
}
