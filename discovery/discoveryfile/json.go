// SPDX-License-Identifier: Apache-2.0

package discoveryfile

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// fromJSON returns valid JSON as the nodes that YAML would make of it. JSON has escapes
// and pairs of surrogates that YAML does not.
func fromJSON(data []byte) *yaml.Node {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	r := &jsonReader{data: data, decoder: d, line: 1, column: 1}
	return r.value()
}

type jsonReader struct {
	data         []byte
	decoder      *json.Decoder
	at           int // of data, up to which line and column are counted
	line, column int
}

// value reads the value that comes next. What it reads is valid.
func (r *jsonReader) value() *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	n.Line, n.Column = r.next()
	token, err := r.decoder.Token()
	if err != nil {
		return n // it was valid
	}
	switch v := token.(type) {
	case json.Delim:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if v == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for r.decoder.More() {
			n.Content = append(n.Content, r.value())
		}
		_, _ = r.decoder.Token() // the end
	case string:
		n.Tag, n.Value = "!!str", v
	case json.Number:
		n.Tag, n.Value = "!!float", v.String()
	case bool:
		n.Tag, n.Value = "!!bool", "false"
		if v {
			n.Value = "true"
		}
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n
}

// next returns where the next token begins.
func (r *jsonReader) next() (line, column int) {
	start := int(r.decoder.InputOffset())
	start += len(r.data[start:]) - len(bytes.TrimLeft(r.data[start:], " \t\r\n,:"))
	for r.at < start {
		c, size := utf8.DecodeRune(r.data[r.at:])
		r.at += size
		r.column++
		if c == '\n' {
			r.line, r.column = r.line+1, 1
		}
	}
	return r.line, r.column
}
