// SPDX-License-Identifier: Apache-2.0

package grpcresolver

import (
	"net/url"

	"github.com/fairlead-go/fairlead/discovery"
)

// Parsed is what a target was understood as.
type Parsed struct {
	Query discovery.Query
	Tags  []string
	Zone  string
}

// ParseTarget makes the parser testable.
func ParseTarget(u *url.URL, home discovery.Namespace) (Parsed, error) {
	t, err := parseTarget(u, home)
	return Parsed{t.query, t.tags, t.zone}, err
}

// Lists makes the list of one set after the other.
type Lists struct{ list list }

// Next returns the number of endpoints, and how many are different.
func (l *Lists) Next(set *discovery.Set) (endpoints, added, removed, changed int) {
	next, d := l.list.to(set, target{})
	l.list = next
	return len(next.endpoints), d.added, d.removed, d.changed
}
