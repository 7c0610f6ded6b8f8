// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-go/fairlead/internal/yamldoc"
)

// maxValues bounds what a file may come to when its aliases are followed.
const maxValues = 20_000

// parser reads one file and collects what is wrong with it.
type parser struct {
	file    string
	errs    []*Error
	told    map[Error]bool
	values  int              // how many were read
	objects map[part]*object // the mappings of policies
	keys    map[part]place   // those of services and methods
	broken  bool             // something that policies are made of cannot be read
	methods int              // of all services, with those of the defaults
}

// part is what package policies may find something wrong with.
type part struct {
	part, service, method string // as in policies.OptionError
	policy                string // its key; empty for the whole
}

func (p *parser) fail(n *yaml.Node, field, value, rule string) {
	line, column := 1, 1
	if n != nil {
		line, column = max(n.Line, 1), max(n.Column, 1)
	}
	e := Error{File: p.file, Line: line, Column: column, Field: field, Value: value, Rule: rule}
	if !p.told[e] { // what is wrong in an anchor is so wherever it is used
		p.told[e] = true
		p.errs = append(p.errs, &e)
	}
}

// document returns the top of the file, or nil if there is none that can be read.
func (p *parser) document(data []byte) *yaml.Node {
	if len(data) > MaxBytes {
		p.fail(nil, "", "", fmt.Sprintf("%d bytes: must be at most %d", len(data), MaxBytes))
		return nil
	}
	return yamldoc.Decode(data, func(at *yaml.Node, rule string) { p.fail(at, "", "", rule) })
}

// count reports whether there may be one more value.
func (p *parser) count(n *yaml.Node) bool {
	p.values++
	if p.values == maxValues+1 {
		p.fail(n, "", "", fmt.Sprintf("must have at most %d values, with those that aliases repeat", maxValues))
	}
	return p.values <= maxValues
}

// inPath returns the path of what key is in field.
func inPath(field, key string) string {
	if strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || key == "" {
		return field + "[" + strconv.Quote(key) + "]"
	}
	if field == "" {
		return key
	}
	return field + "." + key
}

// shown returns a value as errors show it.
func shown(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		return ""
	}
	const most = 60
	text := n.Value
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	if quoted || text == "" || strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return strconv.Quote(text)
	}
	return text
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-µ%"
