// SPDX-License-Identifier: Apache-2.0

package consultest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// firstIndex is what indexes begin with.
const firstIndex = 10

// place is where an entry stands in the catalog.
type place struct{ node, id string }

// record is one entry. Its check has a time to live.
type record struct {
	service  api.AgentService
	node     api.Node
	checks   api.HealthChecks
	ttl      time.Duration
	reap     time.Duration
	expire   *time.Timer
	reaper   *time.Timer
	verbatim json.RawMessage // if it is there as it was written
}

func (r *record) stop() {
	for _, t := range []*time.Timer{r.expire, r.reaper} {
		if t != nil {
			t.Stop()
		}
	}
}

// bump notes a change of a service. It requires mu.
func (a *Agent) bump(name string) uint64 {
	a.index++
	a.indexes[strings.ToLower(name)] = a.index
	a.signal()
	return a.index
}

// signal wakes whoever waits. It requires mu.
func (a *Agent) signal() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// remove requires mu.
func (a *Agent) remove(p place) {
	if r := a.records[p]; r != nil {
		r.stop()
		delete(a.records, p)
		a.bump(r.service.Service)
	}
}

// Put writes an entry as it is, in the form of an answer of /v1/health/service, under the
// node, name and id that it says.
func (a *Agent) Put(entry string) error {
	var e api.ServiceEntry
	if err := json.Unmarshal([]byte(entry), &e); err != nil {
		return err
	}
	if e.Service == nil || e.Node == nil {
		return errors.New("consultest: an entry has to have a node and a service")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := place{e.Node.Node, e.Service.ID}
	a.remove(p)
	a.records[p] = &record{service: *e.Service, node: *e.Node, checks: e.Checks, verbatim: json.RawMessage(entry)}
	a.bump(e.Service.Service)
	return nil
}

// Entries returns what there is, in the order of nodes and ids.
func (a *Agent) Entries() []api.ServiceEntry {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []api.ServiceEntry
	for _, p := range a.places() {
		r := a.records[p]
		out = append(out, api.ServiceEntry{Node: &r.node, Service: &r.service, Checks: slices.Clone(r.checks)})
	}
	return out
}

// places requires mu.
func (a *Agent) places() []place {
	return slices.SortedFunc(maps.Keys(a.records), func(x, y place) int {
		return cmp.Or(cmp.Compare(x.node, y.node), cmp.Compare(x.id, y.id))
	})
}

// health is /v1/health/service, with its waiting.
func (a *Agent) health(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	name := strings.ToLower(strings.TrimPrefix(r.URL.Path, "/v1/health/service/"))
	var index uint64
	_, _ = fmt.Sscan(query.Get("index"), &index)
	if !a.await(r, name, index, query.Get("wait")) {
		return
	}
	if !a.pass(w, r) { // what happened meanwhile happens to those that wait, too
		return
	}
	a.mu.Lock()
	list, last := a.list(name, query.Get("filter")), a.at(name)
	f := a.faults
	a.mu.Unlock()
	if f.hidden || f.filtered {
		list = []json.RawMessage{}
	}
	_, stale := query["stale"]
	if f.leaderless && !stale {
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	backend, leader := "blocking-query", !f.leaderless
	if f.streaming && index > 0 {
		backend, leader = api.QueryBackendStreaming, false
	}
	h.Set("X-Consul-Query-Backend", backend)
	h.Set("X-Consul-Knownleader", fmt.Sprint(leader))
	h.Set("X-Consul-Lastcontact", fmt.Sprint(f.lag.Milliseconds()))
	if f.filtered {
		h.Set("X-Consul-Results-Filtered-By-Acls", "true")
	}
	if !f.indexless {
		h.Set("X-Consul-Index", fmt.Sprint(last))
	}
	writeJSON(w, list, f.torn)
}

// await waits until a service has changed since an index, or the time is over. It reports
// whether there is somebody left to answer.
func (a *Agent) await(r *http.Request, name string, index uint64, wait string) bool {
	limit, err := time.ParseDuration(wait)
	if err != nil {
		limit = 5 * time.Minute
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting++
	defer func() { a.waiting-- }()
	for epoch := a.epoch; index != 0 && a.at(name) <= index && a.epoch == epoch && !a.faults.interrupts(); {
		changed := a.changed
		a.mu.Unlock()
		over := false
		select {
		case <-changed:
		case <-timer.C:
			over = true
		case <-r.Context().Done():
		}
		a.mu.Lock()
		if over {
			return true
		}
		if r.Context().Err() != nil {
			return false
		}
	}
	return true
}

// at returns the index of a service. It requires mu.
func (a *Agent) at(name string) uint64 {
	if i, ok := a.indexes[name]; ok {
		return i
	}
	return firstIndex
}

var equality = regexp.MustCompile(`(Service\.ID|Node\.Node) == ("(?:[^"\\]|\\.)*")`)

// list requires mu.
func (a *Agent) list(name, filter string) []json.RawMessage {
	out := []json.RawMessage{}
	for _, p := range a.places() {
		r := a.records[p]
		if strings.ToLower(r.service.Service) != name || !matches(filter, p) {
			continue
		}
		text := r.verbatim
		if text == nil {
			checks := append(api.HealthChecks{{Node: p.node, CheckID: "serfHealth", Status: api.HealthPassing}}, r.checks...)
			text, _ = json.Marshal(api.ServiceEntry{Node: &r.node, Service: &r.service, Checks: checks})
		}
		out = append(out, text)
	}
	return out
}

func matches(filter string, p place) bool {
	for _, m := range equality.FindAllStringSubmatch(filter, -1) {
		var want string
		_ = json.Unmarshal([]byte(m[2]), &want)
		if m[1] == "Service.ID" && want != p.id || m[1] == "Node.Node" && want != p.node {
			return false
		}
	}
	return true
}

// services is /v1/catalog/services.
func (a *Agent) services(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	names := map[string][]string{"consul": {}}
	for _, r := range a.records {
		names[r.service.Service] = []string{}
	}
	f := a.faults
	a.mu.Unlock()
	w.Header().Set("X-Consul-Knownleader", fmt.Sprint(!f.leaderless))
	w.Header().Set("X-Consul-Lastcontact", "0")
	w.Header().Set("X-Consul-Index", "1")
	writeJSON(w, names, f.torn)
}

func writeJSON(w http.ResponseWriter, v any, torn bool) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if torn {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, _ = w.Write(text[:len(text)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(text)
}
