// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"errors"
	"fmt"
	"strings"
)

// Query says which instances are wanted: those of one service in one namespace. It
// is comparable.
type Query struct {
	Namespace Namespace
	Service   string
}

// Validate returns an error for each part that is invalid, or nil.
func (q Query) Validate() error {
	return errors.Join(q.Namespace.Validate(), checkService(q.Service))
}

// String returns "namespace/service".
func (q Query) String() string { return string(q.Namespace) + "/" + q.Service }

// Key names one instance. It is comparable.
type Key struct {
	Namespace Namespace
	Service   string
	ID        string
}

// Validate returns an error for each part that is invalid, or nil.
func (k Key) Validate() error {
	return errors.Join(k.Query().Validate(), checkID(k.ID))
}

// Query returns the query that finds the instance.
func (k Key) Query() Query { return Query{k.Namespace, k.Service} }

// String returns "namespace/service/id", as a back end that stores by path may use
// it below a prefix of its own. No part can contain a "/", so that a prefix search
// for "prod/order/" finds what belongs to that query and nothing else: it has to end
// with the "/".
func (k Key) String() string { return k.Query().String() + "/" + k.ID }

// ParseKey is the inverse of [Key.String]. It takes nothing else: every part is
// validated.
func ParseKey(text string) (Key, error) {
	namespace, rest, _ := strings.Cut(text, "/")
	service, id, ok := strings.Cut(rest, "/")
	if !ok {
		return Key{}, fmt.Errorf("discovery: key %q: must be namespace/service/id", text)
	}
	k := Key{Namespace(namespace), service, id}
	if err := k.Validate(); err != nil {
		return Key{}, fmt.Errorf("discovery: key %q: %w", text, err)
	}
	return k, nil
}

const (
	maxService = 128
	maxID      = 512
)

// checkService allows what registries, DNS names, paths and file names have in
// common.
func checkService(s string) error {
	switch {
	case s == "":
		return errors.New(`discovery: service "": must not be empty`)
	case len(s) > maxService:
		return fmt.Errorf("discovery: service %.20q…: must have at most %d characters, and has %d", s, maxService, len(s))
	case !isWord(s, "._-") || !isWord(s[:1], "") || !isWord(s[len(s)-1:], "") || strings.Contains(s, ".."):
		return fmt.Errorf(`discovery: service %q: must be of letters, digits and "._-", begin and end with a letter or a digit, and not contain ".."`, s)
	}
	return nil
}

func checkID(id string) error {
	switch {
	case id == "":
		return errors.New(`discovery: id "": must not be empty`)
	case len(id) > maxID:
		return fmt.Errorf("discovery: id %.20q…: must have at most %d characters, and has %d", id, maxID, len(id))
	case !isWord(id, "._-:@~+") || strings.Contains(id, "..") || id == ".":
		return fmt.Errorf(`discovery: id %q: must be of letters, digits and "._-:@~+", and not contain ".."`, id)
	}
	return nil
}

// isWord reports whether s consists of ASCII letters, digits and extra.
func isWord(s, extra string) bool {
	for i := range len(s) {
		if c := s[i]; !isLower(c) && !isUpper(c) && !isDigit(c) && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}
