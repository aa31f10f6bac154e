package objects

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// format is how the journal is written. A new one adds a step to migrations.
const format = 1

// header is the first line of a journal.
type header struct {
	Format int `json:"format"`
	// Version is the store's when the journal was begun: records up to it are objects as they were then, one for each;
	// records after it are writes, one for each version.
	Version uint64 `json:"version"`
}

// record is one line of a journal: an object as a write left it, or the end of one.
type record struct {
	Version   uint64          `json:"version"`
	Kind      string          `json:"kind"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Deleted   bool            `json:"deleted,omitempty"`
	Object    json.RawMessage `json:"object"`
}

func recordOf(e event) record {
	return record{
		Version: e.version, Kind: e.kind.name, Namespace: e.key.namespace, Name: e.key.name,
		Deleted: e.deleted, Object: e.body,
	}
}

// migration turns a record's line as one format wrote it into what the next one would have written.
type migration func(line json.RawMessage) (json.RawMessage, error)

// migrations holds, by format, the step to the next one.
func migrations() map[int]migration { return map[int]migration{} }

// sumLength is the length of a line's checksum with its space.
const sumLength = 9

var errDamaged = errors.New("the line is damaged")

// line writes a value as a line of the journal: a checksum and JSON, ended by a newline, which is nowhere else.
func line(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("writing a record: %w", err)
	}

	sealed := fmt.Appendf(make([]byte, 0, len(text)+sumLength+1), "%08x ", crc32.ChecksumIEEE(text))

	return append(append(sealed, text...), '\n'), nil
}

// open takes the JSON out of a line without its newline.
func open(line []byte) (json.RawMessage, error) {
	if len(line) < sumLength || line[sumLength-1] != ' ' {
		return nil, errDamaged
	}

	sum, err := strconv.ParseUint(string(line[:sumLength-1]), 16, 32)
	if err != nil || uint64(crc32.ChecksumIEEE(line[sumLength:])) != sum {
		return nil, errDamaged
	}

	return json.RawMessage(bytes.Clone(line[sumLength:])), nil
}
