// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
)

// entry is what is used of one in an answer of /v1/health/service, see
// https://developer.hashicorp.com/consul/api-docs/health#sample-response-2.
type entry struct {
	Node struct {
		Node    string
		Address string
	}
	Service struct {
		ID          string
		Service     string
		Address     string
		Port        int
		Tags        []string
		Meta        map[string]string
		Weights     struct{ Passing int }
		ModifyIndex uint64
	}
	Checks []check
}

type check struct {
	CheckID     string
	ServiceID   string // empty for a check of the node
	Status      string
	Type        string
	Output      string
	ModifyIndex uint64
}

// key names an entry as Consul does: an id is one node's.
func (e *entry) key() string { return e.Node.Node + "/" + e.Service.ID }

// ours reports whether it was written by this package.
func (e *entry) ours() bool { return e.Service.Meta[metaNamespace] != "" }

// health is that of the instance: as bad as the worst of its checks, those of its node
// included. A warning is no reason not to call it, as in Consul's own DNS. Without a
// check nobody says. One that says that it leaves does, whatever else there is.
func (e *entry) health() discovery.Health {
	h := discovery.HealthUnknown
	for _, c := range e.Checks {
		switch c.Status {
		case api.HealthPassing, api.HealthWarning:
			h = max(h, discovery.HealthPassing)
		case api.HealthCritical:
			if c.Output == leaving && e.ours() {
				return discovery.HealthLeaving
			}
			h = discovery.HealthFailing
		default:
			h = discovery.HealthFailing
		}
	}
	return h
}

// decode returns the item of one entry.
func (l *listing) decode(text json.RawMessage) *item {
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return &item{key: l.service(l.q) + "/?" + shortened(string(text)), err: fmt.Errorf("consul: an entry of %s: %w", l.q, err)}
	}
	in, err := l.instance(&e)
	if err != nil {
		err = fmt.Errorf("consul: entry %s of service %s: %w", e.key(), e.Service.Service, err)
	}
	return &item{instance: in, ours: e.ours(), index: e.Service.ModifyIndex, node: e.Node.Node, key: e.key(), err: err}
}

// instance returns what an entry stands for. Those that others registered under the same
// name are instances like any, if they have an address: who chose that name meant this
// environment.
func (l *listing) instance(e *entry) (discovery.Instance, error) {
	s := &e.Service
	if name := l.service(l.q); s.Service != name {
		return discovery.Instance{}, fmt.Errorf("its name is not %s, which Consul takes for the same", name)
	}
	in := discovery.Instance{
		Namespace: l.q.Namespace, Service: l.q.Service, Weight: s.Weights.Passing, Health: e.health(),
		Address: net.JoinHostPort(cmp.Or(s.Address, e.Node.Address), strconv.Itoa(s.Port)),
	}
	if ns := s.Meta[metaNamespace]; e.ours() && ns != string(l.q.Namespace) {
		return discovery.Instance{}, fmt.Errorf("%w: it says that it belongs to %q", discovery.ErrForeignNamespace, shortened(ns))
	}
	var known bool
	if in.ID, known = l.naming.instance(l.q, s.ID); !known {
		if e.ours() {
			return discovery.Instance{}, fmt.Errorf("its id does not begin with its service")
		}
		if in.ID = s.ID; in.Key().Validate() != nil {
			in.ID = "" // what its address makes
		}
	}
	for _, tag := range s.Tags {
		if isLabel(tag) {
			in.Tags = append(in.Tags, tag)
		}
	}
	for key, value := range s.Meta {
		if strings.HasPrefix(key, discovery.ReservedMetadata) {
			continue
		}
		if in.Metadata == nil {
			in.Metadata = make(map[string]string, len(s.Meta))
		}
		in.Metadata[key] = value
	}
	in.Zone, in.Version = s.Meta[metaZone], s.Meta[metaVersion]
	return in.Normalized()
}

// isLabel reports whether a tag can be one of an instance. Others are for other programs.
func isLabel(s string) bool {
	const extra = "._:/+~=@-"
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(extra, r)
	})
}
