// SPDX-License-Identifier: Apache-2.0

package consultest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// register is /v1/agent/service/register.
func (a *Agent) register(w http.ResponseWriter, r *http.Request) {
	var s api.AgentServiceRegistration
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil || s.Name == "" || s.Check == nil {
		http.Error(w, fmt.Sprintf("Request decode failed: %v", err), http.StatusBadRequest)
		return
	}
	ttl, err := time.ParseDuration(s.Check.TTL)
	if err != nil {
		http.Error(w, "Invalid check: "+err.Error(), http.StatusBadRequest)
		return
	}
	reap, _ := time.ParseDuration(s.Check.DeregisterCriticalServiceAfter)
	check := &api.HealthCheck{
		Node: Node, CheckID: s.Check.CheckID, Name: s.Check.Name, Status: s.Check.Status, ServiceID: s.ID, ServiceName: s.Name, Type: "ttl",
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := place{Node, s.ID}
	old := a.records[p]
	if old != nil {
		old.stop()
		if len(old.checks) > 0 { // a check that is known keeps its state
			check.Status, check.Output, check.ModifyIndex = old.checks[0].Status, old.checks[0].Output, old.checks[0].ModifyIndex
		}
	}
	next := &record{
		node: api.Node{Node: Node, Address: "127.0.0.1"}, ttl: ttl, reap: reap, checks: api.HealthChecks{check},
		service: api.AgentService{
			ID: s.ID, Service: s.Name, Address: s.Address, Port: s.Port, Tags: s.Tags, Meta: s.Meta, Weights: *s.Weights, Namespace: s.Namespace,
		},
	}
	a.records[p] = next
	if old == nil || !same(old, next) {
		next.service.ModifyIndex = a.bump(s.Name)
	} else {
		next.service.ModifyIndex = old.service.ModifyIndex
	}
	a.renew(p, next)
}

// same reports whether registering again changed nothing.
func same(old, next *record) bool {
	text := func(r *record) string {
		s := r.service
		s.ModifyIndex = 0
		t, _ := json.Marshal(s)
		return string(t)
	}
	return len(old.checks) > 0 && text(old) == text(next)
}

// renew starts the time to live. It requires mu.
func (a *Agent) renew(p place, r *record) {
	r.stop()
	var timer *time.Timer
	timer = time.AfterFunc(r.ttl, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if r.expire == timer && a.records[p] == r {
			a.expired(p, r)
		}
	})
	r.expire = timer
}

// expired requires mu.
func (a *Agent) expired(p place, r *record) {
	a.set(p, r, api.HealthCritical, "TTL expired (last output before timeout follows): "+r.checks[0].Output)
}

// set is a new state of the check. It requires mu.
func (a *Agent) set(p place, r *record, status, output string) {
	c := r.checks[0]
	if c.Status == status && c.Output == output {
		return
	}
	next := *c
	next.Status, next.Output = status, output
	r.checks = api.HealthChecks{&next}
	next.ModifyIndex = a.bump(r.service.Service)
	if status == api.HealthCritical && r.reap > 0 {
		r.reaper = time.AfterFunc(r.reap, func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.records[p] == r && len(r.checks) > 0 && r.checks[0].Status == api.HealthCritical {
				a.remove(p)
			}
		})
	}
}

// update is /v1/agent/check/update.
func (a *Agent) update(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/agent/check/update/")
	var u struct{ Status, Output string }
	if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := place{Node, strings.TrimPrefix(id, "service:")}
	found := a.records[p]
	if found == nil || len(found.checks) == 0 || found.checks[0].CheckID != id {
		http.Error(w, fmt.Sprintf("Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id), http.StatusNotFound)
		return
	}
	a.renew(p, found)
	a.set(p, found, u.Status, u.Output)
}

// deregister is /v1/agent/service/deregister.
func (a *Agent) deregister(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/agent/service/deregister/")
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.records[place{Node, id}] == nil {
		http.Error(w, fmt.Sprintf("Unknown service ID %q. Ensure that the service ID is passed, not the service name.", id), http.StatusNotFound)
		return
	}
	a.remove(place{Node, id})
}

// service is /v1/agent/service.
func (a *Agent) service(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/v1/agent/service/")
	a.mu.Lock()
	found := a.records[place{Node, id}]
	var s api.AgentService
	if found != nil {
		s = found.service
	}
	a.mu.Unlock()
	if found == nil {
		http.Error(w, "unknown service ID: "+id, http.StatusNotFound)
		return
	}
	writeJSON(w, s, false)
}

// self is /v1/agent/self.
func (a *Agent) self(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{"Config": map[string]any{"NodeName": Node}}, false)
}

// txn is /v1/txn, to remove a service and its checks if they are as they were.
func (a *Agent) txn(w http.ResponseWriter, r *http.Request) {
	var ops api.TxnOps
	if err := json.NewDecoder(r.Body).Decode(&ops); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	var fault string
	for _, op := range ops {
		if said := a.compare(op); said != "" {
			fault = said
		}
	}
	for _, op := range ops {
		if op.Service != nil && fault == "" {
			a.remove(place{op.Service.Node, op.Service.Service.ID})
		}
	}
	a.mu.Unlock()
	answer := api.TxnResponse{}
	if fault != "" {
		answer.Errors = api.TxnErrors{{What: fault}}
		w.WriteHeader(http.StatusConflict)
	}
	writeJSON(w, answer, false)
}

// compare returns why an operation is refused. It requires mu.
func (a *Agent) compare(op *api.TxnOp) string {
	switch {
	case op.Service != nil && op.Service.Verb == api.ServiceDeleteCAS:
		s := op.Service.Service
		if s.Service == "" {
			return "Must provide service name (Service.Service) when service ID is provided"
		}
		if r := a.records[place{op.Service.Node, s.ID}]; r == nil || r.service.ModifyIndex != s.ModifyIndex {
			return "failed to delete service, index is stale"
		}
	case op.Check != nil && op.Check.Verb == api.CheckDeleteCAS:
		c := op.Check.Check
		r := a.records[place{c.Node, c.ServiceID}]
		if r == nil || !slices.ContainsFunc(r.checks, func(o *api.HealthCheck) bool { return o.CheckID == c.CheckID && o.ModifyIndex == c.ModifyIndex }) {
			return "failed to delete check, index is stale"
		}
	default:
		return "consultest: no such operation"
	}
	return ""
}
