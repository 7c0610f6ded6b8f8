// SPDX-License-Identifier: Apache-2.0

package discoveryfile

import (
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/internal/yamldoc"
)

// maxValues bounds what a file may come to when its aliases are followed.
const maxValues = 2000

// parser reads one file and collects what is wrong with it.
type parser struct {
	file   string
	errs   []*Error
	values int
}

func (p *parser) fail(n *yaml.Node, field, format string, args ...any) {
	line, column := 1, 1
	if n != nil {
		line, column = max(n.Line, 1), max(n.Column, 1)
	}
	p.errs = append(p.errs, &Error{p.file, line, column, field, fmt.Sprintf(format, args...)})
}

// read returns the sections of a file, as far as they can be read.
func (p *parser) read(data []byte) map[string]*section {
	sections := map[string]*section{}
	top := p.document(data)
	if top == nil {
		return sections
	}
	outside := &section{values: map[string]discovery.FileValue{}}
	for _, e := range p.mapping(top, "") {
		if e.value.Kind != yaml.MappingNode {
			if len(outside.values) == 0 {
				outside.line, outside.column = e.key.Line, e.key.Column
			}
			p.put(outside, e, e.key.Value)
			continue
		}
		s := &section{e.key.Line, e.key.Column, map[string]discovery.FileValue{}}
		sections[e.key.Value] = s
		for _, in := range p.mapping(e.value, e.key.Value) {
			p.put(s, in, e.key.Value+"."+in.key.Value)
		}
	}
	if len(outside.values) > 0 {
		sections[""] = outside
	}
	return sections
}

// document returns the top of the file, or nil if there is none that can be read.
func (p *parser) document(data []byte) *yaml.Node {
	switch {
	case len(data) > MaxBytes:
		p.fail(nil, "", "must have at most %d bytes", MaxBytes)
		return nil
	case json.Valid(data): // which YAML is said to contain, but for some escapes
		return fromJSON(data)
	}
	return yamldoc.Decode(data, func(at *yaml.Node, rule string) { p.fail(at, "", "%s", rule) })
}

type entry struct{ key, value *yaml.Node }

// mapping returns what is in a mapping, in the order of the file; what is none is an
// error.
func (p *parser) mapping(n *yaml.Node, field string) []entry {
	if n = yamldoc.Follow(n); n.Kind != yaml.MappingNode {
		p.fail(n, field, "must be a mapping of names to values")
		return nil
	}
	var out []entry
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := yamldoc.Follow(n.Content[i]), yamldoc.Follow(n.Content[i+1])
		if !p.count(value) {
			break
		}
		name := key.Value
		if field != "" {
			name = field + "." + name
		}
		switch first := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode || key.Value == "" || key.ShortTag() == "!!null":
			p.fail(key, field, "must have names as keys")
		case key.ShortTag() == "!!merge":
			p.fail(key, field, "must not have merge keys")
		case first != nil:
			p.fail(key, name, "must be there once, and is at %d:%d already", first.Line, first.Column)
		default:
			seen[key.Value] = key
			out = append(out, entry{key, value})
		}
	}
	return out
}

// put reads one value.
func (p *parser) put(s *section, e entry, field string) {
	var text string
	var ok bool
	switch {
	case e.value.Kind == yaml.SequenceNode:
		text, ok = p.list(e.value, field)
	case e.value.Kind != yaml.ScalarNode:
		p.fail(e.value, field, "must be a single value or a list of them")
	default:
		text, ok = p.scalar(e.value, field)
	}
	if ok {
		s.values[e.key.Value] = discovery.FileValue{Value: text, Line: e.value.Line, Column: e.value.Column}
	}
}

// scalar returns a single value as it is written.
func (p *parser) scalar(n *yaml.Node, field string) (string, bool) {
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		return n.Value, true
	case "!!null":
		p.fail(n, field, `must have a value: what is to be empty is ""`)
	default:
		p.fail(n, field, "must be text, a number, true or false, without a tag")
	}
	return "", false
}

// list returns the elements of a list with commas between them.
func (p *parser) list(n *yaml.Node, field string) (string, bool) {
	parts, fine := make([]string, 0, len(n.Content)), true
	for _, element := range n.Content {
		element = yamldoc.Follow(element)
		if !p.count(element) {
			return "", false
		}
		if element.Kind != yaml.ScalarNode {
			p.fail(element, field, "must be a list of single values")
			fine = false
			continue
		}
		text, ok := p.scalar(element, field)
		if ok && strings.Contains(text, ",") {
			p.fail(element, field, "must not have a comma in an element of a list")
			ok = false
		}
		fine = fine && ok
		parts = append(parts, text)
	}
	return strings.Join(parts, ","), fine
}

// count reports whether there may be one more value.
func (p *parser) count(n *yaml.Node) bool {
	p.values++
	if p.values == maxValues+1 {
		p.fail(n, "", "must have at most %d values, with those that aliases repeat", maxValues)
	}
	return p.values <= maxValues
}
