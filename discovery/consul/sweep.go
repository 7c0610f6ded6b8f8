// SPDX-License-Identifier: Apache-2.0

package consul

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
)

// Entries implements [discovery.Sweeper]. It asks for the names of all services, and for
// the entries of each that is in the namespace.
func (b *Backend) Entries(ctx context.Context, ns discovery.Namespace) ([]discovery.Entry, error) {
	if err := ns.Validate(); err != nil {
		return nil, err
	}
	what := "list " + string(ns)
	names, meta, err := b.client.Catalog().Services(b.options(ctx, ns))
	if err == nil {
		err = b.doubt(meta, len(names))
	}
	if err != nil {
		return nil, b.fault(ctx, what, err)
	}
	var all []discovery.Entry
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !b.stands(ns, name) {
			continue
		}
		entries, err := b.entries(ctx, ns, name, "")
		if err != nil {
			return nil, b.fault(ctx, what, err)
		}
		q, known := b.query(ns, name)
		for i := range entries {
			all = append(all, b.listed(ns, q, known, &entries[i]))
		}
	}
	return all, nil
}

// builtIn is the service that Consul's servers register, in its default namespace.
const builtIn = "consul"

// stands reports whether a service is in a namespace: if it is native, everything that
// was asked for is.
func (b *Backend) stands(ns discovery.Namespace, name string) bool {
	return strings.HasPrefix(name, b.prefix(ns)) && (!b.native || name != builtIn)
}

// entries lists a service by its name in Consul, or what a filter leaves of it.
func (b *Backend) entries(ctx context.Context, ns discovery.Namespace, name, filter string) ([]entry, error) {
	opts := b.options(ctx, ns)
	opts.Filter = filter
	answer, _, err := list[entry](b, name, opts)
	if err != nil {
		return nil, err
	}
	// Those in another case are listed under their own name.
	return slices.DeleteFunc(answer, func(e entry) bool { return e.Service.Service != name }), nil
}

// listed describes one entry.
func (b *Backend) listed(ns discovery.Namespace, q discovery.Query, known bool, e *entry) discovery.Entry {
	d := discovery.Entry{
		Namespace: ns, Key: string(ns) + "/" + e.key(), Ours: e.ours(), Revision: e.revision(),
	}
	for _, c := range e.Checks {
		critical := c.Status == api.HealthCritical
		switch {
		case c.ServiceID != "":
			d.Expires = true
			d.Expired = d.Expired || critical && c.Type == "ttl" && strings.HasPrefix(c.Output, expired)
		case c.CheckID == nodeCheck: // if the agent is gone, so is what kept the instance up
			d.Expired = d.Expired || critical
		}
	}
	d.Expired = d.Expired && d.Expires
	if !known {
		d.Err = fmt.Errorf("consul: service %q: it is no name that a service of %q would have", e.Service.Service, string(ns))
		return d
	}
	d.Service = q.Service
	in, err := newListing(b.naming, q).instance(e)
	if err != nil {
		d.Err = fmt.Errorf("consul: entry %s: %w", e.key(), err)
		return d
	}
	d.Instance = &in
	return d
}

// What Consul calls the check of a node, and says of a time to live that is over.
const (
	nodeCheck = "serfHealth"
	expired   = "TTL expired"
)

// revision is the index of the last change of a service and of its checks.
func (e *entry) revision() uint64 {
	r := e.Service.ModifyIndex
	for _, c := range e.Checks {
		if c.ServiceID != "" {
			r = max(r, c.ModifyIndex)
		}
	}
	return r
}

// Remove implements [discovery.Sweeper]. An entry of this agent is removed from it, just
// after it was compared. One of another agent is removed from the catalog, in one step
// with the comparison; an agent that is alive and still has it writes it again.
func (b *Backend) Remove(ctx context.Context, e discovery.Entry) error {
	place, ok := strings.CutPrefix(e.Key, string(e.Namespace)+"/")
	node, id, found := strings.Cut(place, "/")
	name, _, _ := strings.Cut(id, ":")
	if !ok || !found || !e.Ours || e.Namespace.Validate() != nil || !b.stands(e.Namespace, name) {
		return fmt.Errorf("consul: %q is not one to be removed: it has to be ours, and in %q", e.Key, string(e.Namespace))
	}
	return b.fault(ctx, "remove "+e.Key, b.remove(ctx, e, node, name, id))
}

func (b *Backend) remove(ctx context.Context, e discovery.Entry, node, name, id string) error {
	now, err := b.entries(ctx, e.Namespace, name, "Service.ID == "+strconv.Quote(id)+" and Node.Node == "+strconv.Quote(node))
	if err != nil || len(now) == 0 {
		return err
	}
	if now[0].Service.ID != id || now[0].revision() != e.Revision || !now[0].ours() {
		return discovery.ErrChanged
	}
	var self struct{ Config struct{ NodeName string } }
	_, err = b.client.Raw().Query("/v1/agent/self", &self, b.options(ctx, e.Namespace))
	if err == nil && self.Config.NodeName == node {
		err = b.client.Agent().ServiceDeregisterOpts(id, b.options(ctx, e.Namespace))
		if !isUnknown(err) {
			return err
		}
	}
	// Of another agent, or of this one before it forgot; or the token may not ask which
	// one this is.
	done, answer, _, err := b.client.Txn().Txn(now[0].removal(), b.options(ctx, e.Namespace))
	if err != nil || done {
		return err
	}
	var said []string
	for _, e := range answer.Errors {
		said = append(said, e.What)
	}
	if text := shortened(strings.Join(said, "; ")); !strings.Contains(text, "stale") {
		return errors.New(text)
	}
	return discovery.ErrChanged
}

// removal is what removes an entry from the catalog, if neither it nor its checks have
// changed.
func (e *entry) removal() api.TxnOps {
	var ops api.TxnOps
	for _, c := range e.Checks {
		if c.ServiceID != "" {
			ops = append(ops, &api.TxnOp{Check: &api.CheckTxnOp{Verb: api.CheckDeleteCAS, Check: api.HealthCheck{
				Node: e.Node.Node, CheckID: c.CheckID, ServiceID: e.Service.ID, ModifyIndex: c.ModifyIndex,
			}}})
		}
	}
	return append(ops, &api.TxnOp{Service: &api.ServiceTxnOp{Verb: api.ServiceDeleteCAS, Node: e.Node.Node, Service: api.AgentService{
		ID: e.Service.ID, Service: e.Service.Service, ModifyIndex: e.Service.ModifyIndex,
	}}})
}
