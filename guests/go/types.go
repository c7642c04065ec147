package main

import (
	"math"

	"guest/antiphon"
)

// An operation whose request and answer have a field of every type of MessagePack: guests/msgpack/cases.toml
// is run against it, and against its twins in the other languages.
func init() {
	antiphon.Register("types", types)
}

type pair struct {
	key   string
	value int64
}

type point struct{ x, y int32 }

type tree struct{ children []tree }

type record struct {
	flag       bool
	u8         uint8
	u16        uint16
	u32        uint32
	u64        uint64
	i8         int8
	i16        int16
	i32        int32
	i64        int64
	f32        float32
	f64        float64
	text       string
	bytes      []byte
	list       []int64
	pairs      []pair
	point      point
	points     []point
	rows       [][]int16
	tree       tree
	maybe      *int64
	maybeText  *string
	maybePoint *point
}

// How many fields must be there.
const required = 19

// Takes a record and answers it.
func types(payload []byte) ([]byte, error) {
	reader := antiphon.NewReader(payload)
	record := readRecord(reader)
	if err := reader.End(); err != nil {
		return nil, err
	}
	var writer antiphon.Writer
	writeRecord(&writer, &record)
	return writer.Message(), nil
}

func readRecord(reader *antiphon.Reader) record {
	var r record
	found := map[string]bool{}
	for pairs := reader.Map(); pairs > 0 && reader.OK(); pairs-- {
		key := reader.String()
		switch key {
		case "flag":
			r.flag = reader.Bool()
		case "u8":
			r.u8 = uint8(reader.Uint(math.MaxUint8))
		case "u16":
			r.u16 = uint16(reader.Uint(math.MaxUint16))
		case "u32":
			r.u32 = uint32(reader.Uint(math.MaxUint32))
		case "u64":
			r.u64 = reader.Uint(math.MaxUint64)
		case "i8":
			r.i8 = int8(reader.Int(math.MinInt8, math.MaxInt8))
		case "i16":
			r.i16 = int16(reader.Int(math.MinInt16, math.MaxInt16))
		case "i32":
			r.i32 = int32(reader.Int(math.MinInt32, math.MaxInt32))
		case "i64":
			r.i64 = reader.Int(math.MinInt64, math.MaxInt64)
		case "f32":
			r.f32 = reader.Float32()
		case "f64":
			r.f64 = reader.Float64()
		case "text":
			r.text = reader.String()
		case "bytes":
			r.bytes = reader.Bytes()
		case "list":
			r.list = make([]int64, reader.Array())
			for i := 0; i < len(r.list) && reader.OK(); i++ {
				r.list[i] = reader.Int(math.MinInt64, math.MaxInt64)
			}
		case "map":
			r.pairs = make([]pair, reader.Map())
			for i := 0; i < len(r.pairs) && reader.OK(); i++ {
				r.pairs[i] = pair{reader.String(), reader.Int(math.MinInt64, math.MaxInt64)}
			}
		case "point":
			r.point = readPoint(reader)
		case "points":
			r.points = make([]point, reader.Array())
			for i := 0; i < len(r.points) && reader.OK(); i++ {
				r.points[i] = readPoint(reader)
			}
		case "rows":
			r.rows = make([][]int16, reader.Array())
			for i := 0; i < len(r.rows) && reader.OK(); i++ {
				row := make([]int16, reader.Array())
				for j := 0; j < len(row) && reader.OK(); j++ {
					row[j] = int16(reader.Int(math.MinInt16, math.MaxInt16))
				}
				r.rows[i] = row
			}
		case "tree":
			r.tree = readTree(reader)
		case "maybe":
			r.maybe = nil
			if !reader.Nil() {
				value := reader.Int(math.MinInt64, math.MaxInt64)
				r.maybe = &value
			}
			continue
		case "maybe_text":
			r.maybeText = nil
			if !reader.Nil() {
				text := reader.String()
				r.maybeText = &text
			}
			continue
		case "maybe_point":
			r.maybePoint = nil
			if !reader.Nil() {
				point := readPoint(reader)
				r.maybePoint = &point
			}
			continue
		default:
			reader.Skip()
			continue
		}
		found[key] = true
	}
	reader.Require(len(found) == required)
	return r
}

func readPoint(reader *antiphon.Reader) point {
	var p point
	var hasX, hasY bool
	for pairs := reader.Map(); pairs > 0 && reader.OK(); pairs-- {
		switch reader.String() {
		case "x":
			p.x, hasX = int32(reader.Int(math.MinInt32, math.MaxInt32)), true
		case "y":
			p.y, hasY = int32(reader.Int(math.MinInt32, math.MaxInt32)), true
		default:
			reader.Skip()
		}
	}
	reader.Require(hasX && hasY)
	return p
}

// A tree contains trees, so the reader counts how deep it is.
func readTree(reader *antiphon.Reader) tree {
	var t tree
	var hasChildren bool
	if !reader.Enter() {
		return t
	}
	for pairs := reader.Map(); pairs > 0 && reader.OK(); pairs-- {
		if reader.String() != "children" {
			reader.Skip()
			continue
		}
		t.children, hasChildren = make([]tree, reader.Array()), true
		for i := 0; i < len(t.children) && reader.OK(); i++ {
			t.children[i] = readTree(reader)
		}
	}
	reader.Require(hasChildren)
	reader.Leave()
	return t
}

func writeRecord(writer *antiphon.Writer, r *record) {
	writer.Map(22)
	writer.String("flag")
	writer.Bool(r.flag)
	writer.String("u8")
	writer.Uint(uint64(r.u8))
	writer.String("u16")
	writer.Uint(uint64(r.u16))
	writer.String("u32")
	writer.Uint(uint64(r.u32))
	writer.String("u64")
	writer.Uint(r.u64)
	writer.String("i8")
	writer.Int(int64(r.i8))
	writer.String("i16")
	writer.Int(int64(r.i16))
	writer.String("i32")
	writer.Int(int64(r.i32))
	writer.String("i64")
	writer.Int(r.i64)
	writer.String("f32")
	writer.Float32(r.f32)
	writer.String("f64")
	writer.Float64(r.f64)
	writer.String("text")
	writer.String(r.text)
	writer.String("bytes")
	writer.Bytes(r.bytes)
	writer.String("list")
	writer.Array(len(r.list))
	for _, value := range r.list {
		writer.Int(value)
	}
	writer.String("map")
	writer.Map(len(r.pairs))
	for _, pair := range r.pairs {
		writer.String(pair.key)
		writer.Int(pair.value)
	}
	writer.String("point")
	writePoint(writer, r.point)
	writer.String("points")
	writer.Array(len(r.points))
	for _, point := range r.points {
		writePoint(writer, point)
	}
	writer.String("rows")
	writer.Array(len(r.rows))
	for _, row := range r.rows {
		writer.Array(len(row))
		for _, value := range row {
			writer.Int(int64(value))
		}
	}
	writer.String("tree")
	writeTree(writer, r.tree)
	writer.String("maybe")
	if r.maybe == nil {
		writer.Nil()
	} else {
		writer.Int(*r.maybe)
	}
	writer.String("maybe_text")
	if r.maybeText == nil {
		writer.Nil()
	} else {
		writer.String(*r.maybeText)
	}
	writer.String("maybe_point")
	if r.maybePoint == nil {
		writer.Nil()
	} else {
		writePoint(writer, *r.maybePoint)
	}
}

func writePoint(writer *antiphon.Writer, p point) {
	writer.Map(2)
	writer.String("x")
	writer.Int(int64(p.x))
	writer.String("y")
	writer.Int(int64(p.y))
}

func writeTree(writer *antiphon.Writer, t tree) {
	writer.Map(1)
	writer.String("children")
	writer.Array(len(t.children))
	for _, child := range t.children {
		writeTree(writer, child)
	}
}
