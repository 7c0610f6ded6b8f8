// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"encoding/json"

	"github.com/fairlead-go/fairlead/discovery"
)

// ServiceName and ServiceID are where an instance stands in Consul.
func ServiceName(q discovery.Query) string { return naming{}.service(q) }
func ServiceID(k discovery.Key) string     { return naming{}.id(k) }

// ParseName and ParseID are their inverses.
func ParseName(ns discovery.Namespace, name string) (discovery.Query, bool) {
	return naming{}.query(ns, name)
}
func ParseID(q discovery.Query, id string) (string, bool) { return naming{}.instance(q, id) }

// NewListing returns what reads the answers to a query, one after the other.
func NewListing(q discovery.Query) func(answer []byte) (discovery.Update, error) {
	l := newListing(naming{}, q)
	return func(answer []byte) (discovery.Update, error) {
		var entries []json.RawMessage
		if err := json.Unmarshal(answer, &entries); err != nil {
			return discovery.Update{}, err
		}
		return l.read(entries), nil
	}
}

// Decode reads answers.
func Decode(q discovery.Query, answers ...[]byte) ([]discovery.Update, error) {
	read := NewListing(q)
	var out []discovery.Update
	for _, text := range answers {
		u, err := read(text)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}
