// A waPC guest with one operation, whose request and answer have a field of every type of MessagePack:
// guests/msgpack/cases.toml is run against it, and against its twins in the other languages.

import { Result, handleAbort, handleCall, register } from "@wapc/as-guest/assembly";
import { Reader, Writer, describe } from "./msgpack";

class Pair {
  constructor(public key: string, public value: i64) {}
}

class Point {
  constructor(public x: i32 = 0, public y: i32 = 0) {}
}

class Tree {
  children: Tree[] = [];
}

class Record {
  flag: bool = false;
  u8: u8 = 0;
  u16: u16 = 0;
  u32: u32 = 0;
  u64: u64 = 0;
  i8: i8 = 0;
  i16: i16 = 0;
  i32: i32 = 0;
  i64: i64 = 0;
  f32: f32 = 0;
  f64: f64 = 0;
  text: string = "";
  bytes: ArrayBuffer = new ArrayBuffer(0);
  list: i64[] = [];
  pairs: Pair[] = [];
  point: Point = new Point();
  points: Point[] = [];
  rows: i16[][] = [];
  tree: Tree = new Tree();
  hasMaybe: bool = false;
  maybe: i64 = 0;
  maybeText: string | null = null;
  maybePoint: Point | null = null;
}

/** How many fields must be there. */
const REQUIRED = 19;

function readPoint(reader: Reader): Point {
  const point = new Point();
  let hasX = false;
  let hasY = false;
  for (let pairs = reader.map(); pairs > 0 && !reader.bad; pairs--) {
    const key = reader.string();
    if (key == "x") {
      point.x = <i32>reader.int(i32.MIN_VALUE, i32.MAX_VALUE);
      hasX = true;
    } else if (key == "y") {
      point.y = <i32>reader.int(i32.MIN_VALUE, i32.MAX_VALUE);
      hasY = true;
    } else {
      reader.skip();
    }
  }
  reader.require(hasX && hasY);
  return point;
}

/** A tree contains trees, so the reader counts how deep it is. */
function readTree(reader: Reader): Tree {
  const tree = new Tree();
  let hasChildren = false;
  if (!reader.enter()) return tree;
  for (let pairs = reader.map(); pairs > 0 && !reader.bad; pairs--) {
    if (reader.string() != "children") {
      reader.skip();
      continue;
    }
    tree.children = [];
    hasChildren = true;
    for (let left = reader.array(); left > 0 && !reader.bad; left--) tree.children.push(readTree(reader));
  }
  reader.require(hasChildren);
  reader.leave();
  return tree;
}

/** Reads the field of this name. Says whether it is one that must be there. */
function readField(reader: Reader, record: Record, key: string): bool {
  if (key == "flag") {
    record.flag = reader.bool();
  } else if (key == "u8") {
    record.u8 = <u8>reader.uint(u8.MAX_VALUE);
  } else if (key == "u16") {
    record.u16 = <u16>reader.uint(u16.MAX_VALUE);
  } else if (key == "u32") {
    record.u32 = <u32>reader.uint(u32.MAX_VALUE);
  } else if (key == "u64") {
    record.u64 = reader.uint(u64.MAX_VALUE);
  } else if (key == "i8") {
    record.i8 = <i8>reader.int(i8.MIN_VALUE, i8.MAX_VALUE);
  } else if (key == "i16") {
    record.i16 = <i16>reader.int(i16.MIN_VALUE, i16.MAX_VALUE);
  } else if (key == "i32") {
    record.i32 = <i32>reader.int(i32.MIN_VALUE, i32.MAX_VALUE);
  } else if (key == "i64") {
    record.i64 = reader.int(i64.MIN_VALUE, i64.MAX_VALUE);
  } else if (key == "f32") {
    record.f32 = reader.f32();
  } else if (key == "f64") {
    record.f64 = reader.f64();
  } else if (key == "text") {
    record.text = reader.string();
  } else if (key == "bytes") {
    record.bytes = reader.bytes();
  } else if (key == "list") {
    record.list = new Array<i64>(reader.array());
    for (let i = 0; i < record.list.length && !reader.bad; i++) {
      record.list[i] = reader.int(i64.MIN_VALUE, i64.MAX_VALUE);
    }
  } else if (key == "map") {
    record.pairs = [];
    for (let left = reader.map(); left > 0 && !reader.bad; left--) {
      const key = reader.string();
      record.pairs.push(new Pair(key, reader.int(i64.MIN_VALUE, i64.MAX_VALUE)));
    }
  } else if (key == "point") {
    record.point = readPoint(reader);
  } else if (key == "points") {
    record.points = [];
    for (let left = reader.array(); left > 0 && !reader.bad; left--) record.points.push(readPoint(reader));
  } else if (key == "rows") {
    record.rows = [];
    for (let left = reader.array(); left > 0 && !reader.bad; left--) {
      const row: i16[] = [];
      for (let left = reader.array(); left > 0 && !reader.bad; left--) {
        row.push(<i16>reader.int(i16.MIN_VALUE, i16.MAX_VALUE));
      }
      record.rows.push(row);
    }
  } else if (key == "tree") {
    record.tree = readTree(reader);
  } else if (key == "maybe") {
    record.hasMaybe = !reader.nil();
    if (record.hasMaybe) record.maybe = reader.int(i64.MIN_VALUE, i64.MAX_VALUE);
    return false;
  } else if (key == "maybe_text") {
    record.maybeText = reader.nil() ? null : reader.string();
    return false;
  } else if (key == "maybe_point") {
    record.maybePoint = reader.nil() ? null : readPoint(reader);
    return false;
  } else {
    reader.skip();
    return false;
  }
  return true;
}

function readRecord(reader: Reader): Record {
  const record = new Record();
  const found = new Set<string>();
  for (let pairs = reader.map(); pairs > 0 && !reader.bad; pairs--) {
    const key = reader.string();
    if (readField(reader, record, key)) found.add(key);
  }
  reader.require(found.size == REQUIRED);
  return record;
}

function writePoint(writer: Writer, point: Point): void {
  writer.map(2);
  writer.string("x");
  writer.int(point.x);
  writer.string("y");
  writer.int(point.y);
}

function writeTree(writer: Writer, tree: Tree): void {
  writer.map(1);
  writer.string("children");
  writer.array(tree.children.length);
  for (let i = 0; i < tree.children.length; i++) writeTree(writer, tree.children[i]);
}

function writeRecord(writer: Writer, record: Record): void {
  writer.map(22);
  writer.string("flag");
  writer.bool(record.flag);
  writer.string("u8");
  writer.uint(record.u8);
  writer.string("u16");
  writer.uint(record.u16);
  writer.string("u32");
  writer.uint(record.u32);
  writer.string("u64");
  writer.uint(record.u64);
  writer.string("i8");
  writer.int(record.i8);
  writer.string("i16");
  writer.int(record.i16);
  writer.string("i32");
  writer.int(record.i32);
  writer.string("i64");
  writer.int(record.i64);
  writer.string("f32");
  writer.f32(record.f32);
  writer.string("f64");
  writer.f64(record.f64);
  writer.string("text");
  writer.string(record.text);
  writer.string("bytes");
  writer.bytes(record.bytes);
  writer.string("list");
  writer.array(record.list.length);
  for (let i = 0; i < record.list.length; i++) writer.int(record.list[i]);
  writer.string("map");
  writer.map(record.pairs.length);
  for (let i = 0; i < record.pairs.length; i++) {
    writer.string(record.pairs[i].key);
    writer.int(record.pairs[i].value);
  }
  writer.string("point");
  writePoint(writer, record.point);
  writer.string("points");
  writer.array(record.points.length);
  for (let i = 0; i < record.points.length; i++) writePoint(writer, record.points[i]);
  writer.string("rows");
  writer.array(record.rows.length);
  for (let i = 0; i < record.rows.length; i++) {
    const row = record.rows[i];
    writer.array(row.length);
    for (let j = 0; j < row.length; j++) writer.int(row[j]);
  }
  writer.string("tree");
  writeTree(writer, record.tree);
  writer.string("maybe");
  if (record.hasMaybe) writer.int(record.maybe);
  else writer.nil();
  writer.string("maybe_text");
  const text = record.maybeText;
  if (text !== null) writer.string(text);
  else writer.nil();
  writer.string("maybe_point");
  const point = record.maybePoint;
  if (point !== null) writePoint(writer, point);
  else writer.nil();
}

// Takes a record and answers it.
register("types", (payload) => {
  const reader = new Reader(payload);
  const record = readRecord(reader);
  if (!reader.end()) return Result.error<ArrayBuffer>(new Error(describe(reader.fault)));
  const writer = new Writer();
  writeRecord(writer, record);
  return Result.ok<ArrayBuffer>(writer.message());
});

/** What the host calls. The SDK wants it in the entry file. */
export function __guest_call(operationSize: usize, payloadSize: usize): bool {
  return handleCall(operationSize, payloadSize);
}

/** The SDK's own abort, which `asc --use abort=assembly/types/abort` links in. */
function abort(message: string | null, fileName: string | null, lineNumber: u32, columnNumber: u32): void {
  handleAbort(message, fileName, lineNumber, columnNumber);
}
