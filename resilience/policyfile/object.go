// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-go/fairlead/internal/yamldoc"
)

// object is a mapping with known keys. Keys are known because they are asked for; what
// was never asked for is unknown.
type object struct {
	*parser
	node  *yaml.Node
	field string
	// entries are the values by key, and keys those keys in the order of the file.
	entries map[string]entry
	keys    []string
	known   []string
	// labels are the values that were read, by what the policy's errors call them.
	labels map[string]place
	broken bool // something that it is made of cannot be read
}

type entry struct{ key, value *yaml.Node }

// place is a value and its path.
type place struct {
	node  *yaml.Node
	field string
}

// object reads a mapping; what is none is an empty one, and an error.
func (p *parser) object(n *yaml.Node, field string) *object {
	n = yamldoc.Follow(n)
	o := &object{parser: p, node: n, field: field, entries: map[string]entry{}, labels: map[string]place{}}
	if n.Kind != yaml.MappingNode {
		o.broken = true
		p.fail(n, field, shown(n), "must be a mapping")
		return o
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := yamldoc.Follow(n.Content[i]), n.Content[i+1]
		if !p.count(value) {
			break
		}
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null" {
			p.fail(key, field, "", "must have single values as keys")
			continue
		}
		if first, ok := o.entries[key.Value]; ok {
			p.fail(key, inPath(field, key.Value), "", fmt.Sprintf("duplicate key: it is there at %d:%d", first.key.Line, first.key.Column))
			continue
		}
		o.entries[key.Value] = entry{key, value}
		o.keys = append(o.keys, key.Value)
	}
	return o
}

// get returns the value of a key, and false if it is not there.
func (o *object) get(key string) (place, bool) {
	if !slices.Contains(o.known, key) {
		o.known = append(o.known, key)
	}
	e, ok := o.entries[key]
	if !ok {
		return place{}, false
	}
	return place{node: yamldoc.Follow(e.value), field: inPath(o.field, key)}, true
}

// set reads the value of a key, if it is there, and adds the option that it stands for.
func set[T, O any](o *object, opts *[]O, key string, read func(*parser, place) (T, bool), option func(T) O) {
	if v, ok := value(o, key, read); ok {
		*opts = append(*opts, option(v))
	}
}

// value reads the value of a key, if it is there.
func value[T any](o *object, key string, read func(*parser, place) (T, bool)) (v T, ok bool) {
	at, ok := o.get(key)
	if !ok {
		return v, false
	}
	if v, ok = read(o.parser, at); !ok {
		o.broken = true
		return v, false
	}
	o.labels[called(words(key))] = at
	return v, true
}

// required reads the value of a key that must be there.
func required[T any](o *object, key string, read func(*parser, place) (T, bool)) (v T, ok bool) {
	v, ok = value(o, key, read)
	if _, there := o.entries[key]; !there && !o.broken {
		o.fail(o.node, o.field, "", "must have "+key)
		o.broken = true
	}
	return v, ok
}

// inner reads the mapping of a key, if it is there. Its values are o's.
func (o *object) inner(key string, read func(*object)) {
	at, ok := o.get(key)
	if !ok {
		return
	}
	in := o.object(at.node, at.field)
	read(in)
	in.end()
	o.broken = o.broken || in.broken
	for label, at := range in.labels {
		o.labels[called(words(key)+" "+label)] = at
	}
}

// switchable reads a value that may be off.
func (o *object) switchable(key string, off, read func()) {
	if at, ok := o.get(key); ok {
		if on, ok := toggle(at.node); ok && !on {
			off()
			return
		}
	}
	read()
}

// end refuses the keys that nobody has asked for.
func (o *object) end() {
	for _, key := range o.keys {
		if slices.Contains(o.known, key) {
			continue
		}
		rule := "unknown key: must be one of " + strings.Join(o.known, ", ")
		if near := nearest(key, o.known); near != "" {
			rule = "unknown key: did you mean " + near + "?"
		}
		o.fail(o.entries[key].key, inPath(o.field, key), "", rule)
	}
}

// policy reads a policy, which is off, on or a mapping; on is an empty mapping.
func (o *object) policy(where part, key string, off func(), read func(*object)) {
	at, ok := o.get(key)
	if !ok {
		return
	}
	in := &object{parser: o.parser, node: at.node, field: at.field}
	switch on, ok := toggle(at.node); {
	case ok && !on:
		off()
		return
	case ok:
		in.labels = map[string]place{}
	case at.node.Kind == yaml.MappingNode:
		in = o.object(at.node, at.field)
	default:
		o.fail(at.node, at.field, shown(at.node), "must be a mapping, on or off")
		o.parser.broken = true
		return
	}
	read(in)
	in.end()
	o.parser.broken = o.parser.broken || in.broken
	where.policy = key
	o.objects[where] = in
}

// blame finds whose fault an error of a policy is, and says so there. It returns false if
// it is none of the object's own values'.
func (o *object) blame(text string) bool {
	subject, rule, ok := strings.Cut(text, ": must ")
	if !ok {
		subject, rule = text, "be valid"
	}
	label, at := "", place{}
	for l, a := range o.labels {
		if (words(subject) == l || strings.HasPrefix(words(subject), l+" ")) && len(l) > len(label) {
			label, at = l, a
		}
	}
	if label == "" {
		return false
	}
	if at.node.Kind == yaml.SequenceNode { // then it is one of the list
		for _, element := range at.node.Content {
			if element = yamldoc.Follow(element); strings.HasSuffix(subject, " "+element.Value) {
				at.node = element
				break
			}
		}
	}
	o.fail(at.node, at.field, shown(at.node), "must "+rule)
	return true
}

// check says what is wrong with the object's own values, by the error of a policy that
// has no others.
func (o *object) check(err error) {
	for _, leaf := range leaves(err) {
		_, text := policyAndText(leaf.Error())
		o.blame(text)
	}
}

// called returns what the policy's errors call a value, where that is not its path.
func called(path string) string {
	switch path {
	case "retry after min":
		return "min retry after"
	case "retry after max":
		return "max retry after"
	case "queue length":
		return "queue"
	default:
		return path
	}
}

// words returns a key, or what errors call it, as words.
func words(s string) string { return strings.NewReplacer("_", " ", "-", " ").Replace(s) }
