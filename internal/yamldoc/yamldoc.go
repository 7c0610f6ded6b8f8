// SPDX-License-Identifier: Apache-2.0

// Package yamldoc reads the one YAML document that a configuration file has to be, with
// the position of whatever is wrong with it. What the document says is its users'
// matter; it sets no limits.
package yamldoc

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Decode returns the top of a document, or nil if there is none that can be read. fail is
// told of each thing that is wrong, and where: nil is the file as a whole. Of a second
// document fail is told, and the first is returned.
func Decode(data []byte, fail func(at *yaml.Node, rule string)) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		fail(nil, "must not be empty: a file that says nothing is {}")
		return nil
	case err != nil:
		syntax(err, fail)
		return nil
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		fail(&next, "must be one document")
	case !errors.Is(err, io.EOF):
		syntax(err, fail)
	}
	return doc.Content[0]
}

// A syntax error has its line in its text.
var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func syntax(err error, fail func(*yaml.Node, string)) {
	text, n := err.Error(), yaml.Node{}
	if m := syntaxError.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		n.Line, _ = strconv.Atoi(m[1])
	}
	fail(&n, "must be YAML or JSON: "+text)
}

// Follow returns what n is an alias of, or n.
func Follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
