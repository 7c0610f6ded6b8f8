// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"context"
	"fmt"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// ExampleNewPatrol looks after the servers of a registry, and says what is wrong once.
func ExampleNewPatrol() {
	registry := memory.New() // or a consul.Backend, or an etcd.Backend
	registry.Faults().Cluster(&discovery.Cluster{Leader: "", FaultTolerance: -1, Members: []discovery.ClusterMember{
		{Name: "s0", Voter: true, Health: discovery.HealthPassing},
		{Name: "s1", Voter: true, Health: discovery.HealthFailing},
		{Name: "s2", Voter: true, Health: discovery.HealthPassing},
	}})
	done := make(chan struct{})
	patrol, err := discovery.NewPatrol(registry, discovery.WithObserver(discovery.Observer{
		FindingChanged: func(c discovery.FindingChange) { fmt.Println(c.Finding) },
		PatrolDone:     func(discovery.PatrolRound) { close(done) },
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	<-done
	fmt.Println("check:", patrol.Check(context.Background()))
	_ = patrol.Close()
	// Output:
	// no_leader: none of 3 members leads
	// member: s1: fails its checks
	// no_tolerance: of 3 voters none may fail
	// check: discovery: registry: no_leader: none of 3 members leads
}

// ExampleNewSweep says what is in a registry and should not be. It removes nothing
// without WithRemoval.
func ExampleNewSweep() {
	registry := memory.New()
	_ = registry.Faults().Forever(discovery.Instance{Namespace: "prod", Service: "order", ID: "ghost", Address: "10.0.0.7:8443"})
	registry.Faults().Put(discovery.Query{Namespace: "prod", Service: "order"}, "notes", []byte("do not delete"))

	sweep, err := discovery.NewSweep(registry, "prod")
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := sweep.Pass(context.Background())
	fmt.Println(report.Entries, "entries,", err)
	for _, l := range report.Leftovers {
		fmt.Println(l.Kind, l.Entry.Key)
	}
	// Output:
	// 2 entries, <nil>
	// foreign prod/order/notes
	// immortal prod/order/ghost
}
