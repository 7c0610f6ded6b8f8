// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// How much of a log line's attributes is shown, in characters: of one, of a
// stack for example, and of all together. The whole line is in the JSON form.
const (
	maxValue = 80
	maxRest  = 240
)

// line is a log line as far as it is shown.
type line struct {
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Message string    `json:"msg"`
	TraceID string    `json:"trace_id"`
	SpanID  string    `json:"span_id"`
	Service string    `json:"service.name"`

	others []attr
}

// attr is an attribute that has no column of its own.
type attr struct {
	key   string
	value json.RawMessage
}

// parseLine reads a log line; one that cannot be read becomes a message.
func parseLine(raw json.RawMessage) line {
	var l line
	if json.Unmarshal(raw, &l) != nil {
		return line{Message: string(raw)}
	}
	l.others = attrsOf(raw)
	return l
}

// attrsOf returns the attributes of a line that is a JSON object, in the order
// in which they were written.
func attrsOf(raw json.RawMessage) []attr {
	var attrs []attr
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return attrs
		}
		a := attr{key: key.(string)} // what stands before a value is a string
		if d.Decode(&a.value) != nil {
			return attrs
		}
		switch a.key {
		case "time", "level", "msg", "trace_id", "span_id", "service.name":
		default:
			attrs = append(attrs, a)
		}
	}
	return attrs
}

// rest returns the attributes in one line.
func (l line) rest() string {
	var b strings.Builder
	for _, a := range l.others {
		b.WriteString("  " + a.key + "=" + cut(string(a.value), maxValue))
	}
	return oneLine(cut(b.String(), maxRest))
}

// cut returns the first n characters of s.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}
