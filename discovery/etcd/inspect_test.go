// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
)

// TestInspect looks at a real cluster, whole and with a member less.
func TestInspect(t *testing.T) {
	t.Parallel()
	members := startCluster(t)
	b := realBackend(t, etcd.WithEndpoints(endpoints(members)...))
	register(t, registration(t, b, instance(1)), time.Minute)
	c, err := b.Inspect(call(t))
	if err != nil || len(c.Members) != 3 || c.Leader == "" || len(c.Alarms) != 0 || c.Latency <= 0 {
		t.Fatalf("a whole cluster: %+v, %v", c, err)
	}
	leaders := 0
	for i, m := range c.Members {
		if m.Leader {
			leaders++
		}
		switch {
		case m.Name != "m"+string(rune('0'+i)) || m.Address != members[i].endpoint || m.Sees != c.Leader || m.Leader != (m.Name == c.Leader):
			t.Errorf("whose is this: %+v", m)
		case !m.Voter || m.Health != discovery.HealthPassing || m.Err != nil || m.Latency <= 0:
			t.Errorf("how is this: %+v", m)
		case m.Term == 0 || m.Index == 0 || m.DBSize == 0 || m.DBQuota == 0 || !strings.HasPrefix(m.Version, "3."):
			t.Errorf("what is missing: %+v", m)
		}
	}
	if left, voters := c.Tolerance(); left != 1 || voters != 3 || leaders != 1 {
		t.Errorf("%d of %d may fail, and %d lead", left, voters, leaders)
	}

	part := realBackend(t, etcd.WithEndpoints(members[0].endpoint))
	if c, err = part.Inspect(call(t)); err != nil || len(c.Members) != 3 || c.Members[1].Health != discovery.HealthUnknown || !c.Members[1].Voter {
		t.Errorf("with one endpoint of three: %+v, %v", c, err)
	}

	down := leader(t, b, members)
	down.kill()
	i := slices.Index(members, down)
	start := time.Now()
	c, err = b.Inspect(call(t))
	if m := c.Members[i]; err != nil || m.Health != discovery.HealthFailing || m.Err == nil || !m.Voter || m.Name != "m"+string(rune('0'+i)) {
		t.Errorf("a member that is down: %+v, %v", m, err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("a member that is down took %v", took)
	}
	if left, voters := c.Tolerance(); left != 0 || voters != 3 {
		t.Errorf("%d of %d may fail without one", left, voters)
	}
	for _, m := range members {
		m.kill()
	}
	if c, err := b.Inspect(call(t)); err == nil {
		t.Errorf("nobody is there: %+v", c)
	}
}

// TestInspectNoLeader: a member that knows of no leader says so, and is failing.
func TestInspectNoLeader(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.NoLeader(true)
		c, err := w.backend.Inspect(call(w.T))
		if err != nil || c.Leader != "" || len(c.Members) != 1 {
			w.Fatalf("got %+v, %v", c, err)
		}
		if m := c.Members[0]; m.Health != discovery.HealthFailing || !errors.Is(m.Err, rpctypes.ErrNoLeader) || m.Sees != "" || m.Leader || !m.Voter {
			w.Errorf("got %+v", m)
		}
	})
}

// TestInspectAlarm: alarms are found in what members say of errors.
func TestInspectAlarm(t *testing.T) {
	t.Parallel()
	server := startServer(t, "--quota-backend-bytes", "200000")
	b := realBackend(t, etcd.WithEndpoints(server.endpoint))
	for range 200 { // until it is full
		if _, err := b.Client().Put(call(t), "fill", strings.Repeat("x", 10000)); errors.Is(err, rpctypes.ErrNoSpace) {
			break
		}
	}
	c, err := b.Inspect(call(t))
	if err != nil || !slices.Equal(c.Alarms, []string{"NOSPACE"}) || c.Members[0].DBQuota != 200000 {
		t.Errorf("got %+v, %v", c, err)
	}
	_, err = registration(t, b, instance(1)).Register(call(t), time.Minute, discovery.HealthPassing)
	if !errors.Is(err, rpctypes.ErrNoSpace) || !strings.Contains(err.Error(), "database is full") {
		t.Errorf("Register: got %v, want rpctypes.ErrNoSpace and what it means", err)
	}
}

// TestPatrol puts the core on top.
func TestPatrol(t *testing.T) {
	bubble(t, func(w *world) {
		p, err := discovery.NewPatrol(w.backend)
		if err != nil {
			w.Fatal(err)
		}
		defer func() { _ = p.Close() }()
		time.Sleep(time.Minute)
		if err := p.Check(w.Context()); err != nil {
			w.Errorf("a cluster that is well: %v", err)
		}
		w.server.NoLeader(true)
		time.Sleep(time.Minute)
		if err := p.Check(w.Context()); err == nil {
			w.Error("no complaint about a cluster without a leader")
		}
	})
}
