// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/discovery/consul/internal/consultest"
)

// Answers as they are in Consul's documentation, shortened.
const (
	raftAnswer = `{"Servers":[
		{"ID":"1","Node":"alice","Address":"10.1.0.1:8300","Leader":true,"Voter":true,"LastIndex":102},
		{"ID":"2","Node":"bob","Address":"10.1.0.2:8300","Voter":true,"LastIndex":102},
		{"ID":"3","Node":"(unknown)","Address":"10.1.0.3:8300","Voter":true}],"Index":22}`
	healthAnswer = `{"Healthy":false,"FailureTolerance":0,"Servers":[
		{"ID":"1","Name":"alice","Address":"10.1.0.1:8300","SerfStatus":"alive","Version":"1.22.0","Leader":true,"LastContact":"0s","LastTerm":4,"LastIndex":104,"Healthy":true,"Voter":true},
		{"ID":"2","Name":"bob","Address":"10.1.0.2:8300","SerfStatus":"failed","Version":"1.22.0","LastContact":"12.5s","LastTerm":3,"LastIndex":80,"Healthy":false,"Voter":true},
		{"ID":"4","Name":"dora","Address":"10.1.0.4:8300","SerfStatus":"alive","LastContact":"10ms","LastTerm":4,"LastIndex":104,"Healthy":true,"Voter":false}]}`
)

func TestInspect(t *testing.T) {
	alice := discovery.ClusterMember{Name: "alice", Address: "10.1.0.1:8300", Leader: true, Voter: true, Index: 102}
	bob := discovery.ClusterMember{Name: "bob", Address: "10.1.0.2:8300", Voter: true, Index: 102}
	gone := discovery.ClusterMember{Name: "3", Address: "10.1.0.3:8300", Voter: true}
	judged := func(m discovery.ClusterMember, h discovery.Health, term, index uint64) discovery.ClusterMember {
		m.Health, m.Term, m.Index, m.Version = h, term, index, "1.22.0"
		return m
	}
	dora := judged(discovery.ClusterMember{Name: "dora", Address: "10.1.0.4:8300"}, discovery.HealthPassing, 4, 104)
	dora.Version = ""
	plain := func(address string, leader bool) discovery.ClusterMember {
		return discovery.ClusterMember{Name: address, Address: address, Leader: leader, Voter: true}
	}
	follower := alice
	follower.Leader = false
	type answers map[string]struct {
		code int
		text string
	}
	const raft, health, leader, peers = "/v1/operator/raft/configuration", "/v1/operator/autopilot/health", "/v1/status/leader", "/v1/status/peers"
	for name, tc := range map[string]struct {
		answers answers
		want    discovery.Cluster
		err     error
	}{
		"as the leader sees it": {
			answers{raft: {200, raftAnswer}, health: {429, healthAnswer}},
			discovery.Cluster{Leader: "alice", FaultTolerance: 0, Members: []discovery.ClusterMember{
				judged(alice, discovery.HealthPassing, 4, 104), judged(bob, discovery.HealthFailing, 3, 80), gone, dora,
			}}, nil,
		},
		"without a leader": {
			answers{raft: {200, raftAnswer}, health: {500, "No cluster leader"}},
			discovery.Cluster{FaultTolerance: -1, Members: []discovery.ClusterMember{follower, bob, gone}}, nil,
		},
		"without the right to": {
			answers{raft: {403, "Permission denied"}, leader: {200, `"10.1.0.1:8300"`}, peers: {200, `["10.1.0.2:8300","10.1.0.1:8300"]`}},
			discovery.Cluster{Leader: "10.1.0.1:8300", FaultTolerance: -1, Members: []discovery.ClusterMember{plain("10.1.0.2:8300", false), plain("10.1.0.1:8300", true)}}, nil,
		},
		"without the right to, and a leader": {
			answers{raft: {403, "Permission denied"}, leader: {200, `""`}, peers: {200, `["10.1.0.2:8300"]`}},
			discovery.Cluster{FaultTolerance: -1, Members: []discovery.ClusterMember{plain("10.1.0.2:8300", false)}}, nil,
		},
		"nobody answers": {answers{"": {500, "rpc error"}}, discovery.Cluster{}, errors.New("rpc error")},
		"nobody answers to who has no right": {
			answers{raft: {403, "Permission denied"}, leader: {500, "rpc error"}, peers: {500, "rpc error"}},
			discovery.Cluster{}, errors.New("rpc error"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			agent, b := newAgent(t)
			for path, a := range tc.answers {
				agent.Answer(path, a.code, a.text)
			}
			got, err := b.Inspect(t.Context())
			if tc.err != nil {
				if err == nil || !strings.Contains(err.Error(), tc.err.Error()) {
					t.Errorf("error %v, want %v", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreFields(discovery.ClusterMember{}, "Err"), cmpopts.IgnoreFields(discovery.Cluster{}, "Latency")); diff != "" {
				t.Errorf("cluster (-want +got):\n%s", diff)
			}
			for _, m := range got.Members {
				if (m.Err != nil) != (m.Health == discovery.HealthFailing) {
					t.Errorf("%s is %v: %v", m.Name, m.Health, m.Err)
				}
			}
		})
	}
}

// removable makes an entry that has been left behind on another node.
func leftBehind(t *testing.T, agent *consultest.Agent, id string, index string) {
	t.Helper()
	text := `{"Node":{"Node":"node2","Address":"10.2.0.1"},
		"Service":{"ID":"` + id + `","Service":"prod--order","Address":"10.0.0.9","Port":80,"Meta":{"fairlead-namespace":"prod"},"ModifyIndex":7},
		"Checks":[{"CheckID":"service:` + id + `","ServiceID":"` + id + `","Type":"ttl","Status":"critical","Output":"TTL expired","ModifyIndex":` + index + `}]}`
	if err := agent.Put(text); err != nil {
		t.Fatal(err)
	}
}

// TestSweep: what there is of an environment is listed, and what is ours and as it was
// can be removed.
func TestSweep(t *testing.T) {
	agent, b := newAgent(t)
	live := registration(t, b, discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.1:80"})
	register(t, live, time.Hour, discovery.HealthFailing) // it says so itself: not expired
	register(t, registration(t, b, discovery.Instance{Namespace: "prod2", Service: "order", Address: "10.0.0.1:80"}), time.Hour, discovery.HealthPassing)
	leftBehind(t, agent, "prod--order:old", "8")
	for _, text := range []string{
		`{"Node":{"Node":"node3","Address":"10.2.0.1"},"Service":{"ID":"by-hand","Service":"prod--order","Port":80}}`,
		`{"Node":{"Node":"node3"},"Service":{"ID":"x","Service":"prod--"}}`,
	} {
		if err := agent.Put(text); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := b.Entries(t.Context(), "prod")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][4]bool{}
	byKey := map[string]discovery.Entry{}
	for _, e := range entries {
		got[e.Key], byKey[e.Key] = [4]bool{e.Instance != nil, e.Ours, e.Expires, e.Expired}, e
		if (e.Err == nil) != (e.Instance != nil) || e.Namespace != "prod" || e.Ours && e.Service != "order" {
			t.Errorf("%+v", e)
		}
	}
	old := "prod/node2/prod--order:old"
	if diff := cmp.Diff(map[string][4]bool{
		"prod/node1/prod--order:order@10.0.0.1:80": {true, true, true, false},
		old:                  {true, true, true, true},
		"prod/node3/by-hand": {true, false, false, false},
		"prod/node3/x":       {false, false, false, false},
	}, got); diff != "" {
		t.Fatalf("entries: instance, ours, expires, expired (-want +got):\n%s", diff)
	}
	for name, e := range map[string]discovery.Entry{
		"not ours":               byKey["prod/node3/by-hand"],
		"not ours, by its entry": {Namespace: "prod", Key: old, Revision: 8},
		"of another":             {Namespace: "prod", Key: "prod/node1/prod2--order:order@10.0.0.1:80", Ours: true},
		"with a key of another":  {Namespace: "prod", Key: "prod2/node1/prod--order:x", Ours: true},
		"with a key of nowhere":  {Namespace: "prod", Key: "prod", Ours: true},
	} {
		if err := b.Remove(t.Context(), e); err == nil || errors.Is(err, discovery.ErrChanged) {
			t.Errorf("Remove of one %s: %v", name, err)
		}
	}
	leftBehind(t, agent, "prod--order:old", "9") // it came to life, and expired again
	if err := b.Remove(t.Context(), byKey[old]); !errors.Is(err, discovery.ErrChanged) {
		t.Errorf("Remove of one that changed: %v", err)
	}
	again := byKey[old]
	again.Revision = 9
	for text, changed := range map[string]bool{"failed to delete service, index is stale": true, "Permission denied": false} {
		agent.Answer("/v1/txn", 409, `{"Results":null,"Errors":[{"OpIndex":0,"What":"`+text+`"}]}`)
		if err := b.Remove(t.Context(), again); err == nil || errors.Is(err, discovery.ErrChanged) != changed {
			t.Errorf("Remove that is answered with %q: %v", text, err)
		}
	}
	agent.Answer("/v1/txn", 0, "")
	for _, e := range []discovery.Entry{again, again, byKey["prod/node1/prod--order:order@10.0.0.1:80"]} {
		if err := b.Remove(t.Context(), e); err != nil {
			t.Errorf("Remove(%s): %v", e.Key, err)
		}
	}
	if entries, err := b.Entries(t.Context(), "prod"); err != nil || len(entries) != 2 {
		t.Errorf("%d entries left (%v), want 2", len(entries), err)
	}
	if entries, err := b.Entries(t.Context(), "prod2"); err != nil || len(entries) != 1 {
		t.Errorf("%d entries of another environment (%v), want 1", len(entries), err)
	}
	for name, wrong := range map[string]func(bool){"filtered": agent.Filtered, "torn": agent.Torn, "leaderless": agent.Leaderless} {
		wrong(true)
		if entries, err := b.Entries(t.Context(), "prod"); err == nil {
			t.Errorf("an answer that is %s: %v", name, entries)
		}
		wrong(false)
	}
	if _, err := b.Entries(t.Context(), "../x"); err == nil {
		t.Error("a namespace that is none")
	}
}

// TestPatrolAndSweepOfAnAgent is what the fakes above are held against.
func TestPatrolAndSweepOfAnAgent(t *testing.T) {
	t.Parallel()
	s := devAgent(t)
	b := newBackend(t, consul.WithAddress(s.address))
	waitFor(t, "autopilot has looked at the server", 20*time.Second, func() bool {
		c, err := b.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.Leader == "dev" && len(c.Members) == 1 && c.Members[0].Health == discovery.HealthPassing && c.Members[0].Term > 0 &&
			c.Members[0].Index > 0 && c.Members[0].Voter && c.Members[0].Version != "" && c.FaultTolerance == 0 && c.Latency > 0
	})
	r := registration(t, b, discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.1:80"})
	register(t, r, time.Second, discovery.HealthPassing)
	const elsewhere = `{"Node":"gone","Address":"10.2.0.1","Service":{"ID":"prod--order:old","Service":"prod--order","Address":"10.0.0.9","Port":80,"Meta":{"fairlead-namespace":"prod"}},
		"Check":{"Node":"gone","CheckID":"service:prod--order:old","ServiceID":"prod--order:old","Status":"critical"}}`
	if err := s.do("PUT", "/v1/catalog/register", elsewhere, nil); err != nil {
		t.Fatal(err)
	}
	var entries []discovery.Entry
	waitFor(t, "one has expired", 10*time.Second, func() bool {
		var err error
		if entries, err = b.Entries(t.Context(), "prod"); err != nil {
			t.Fatal(err)
		}
		return len(entries) == 2 && (entries[0].Expired || entries[1].Expired)
	})
	for _, e := range entries {
		if e.Instance == nil || !e.Ours || !e.Expires {
			t.Errorf("%+v", e)
		}
		stale := e
		stale.Revision--
		if err := b.Remove(t.Context(), stale); !errors.Is(err, discovery.ErrChanged) {
			t.Errorf("Remove of one that changed: %v", err)
		}
		if err := b.Remove(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
	waitFor(t, "both are gone", 5*time.Second, func() bool {
		left, err := b.Entries(t.Context(), "prod")
		return err == nil && len(left) == 0
	})
}
