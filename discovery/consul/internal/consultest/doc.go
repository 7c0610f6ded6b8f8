// SPDX-License-Identifier: Apache-2.0

// Package consultest is a Consul agent for tests: it does what a real one does with
// services, their checks and queries that wait, and makes mistakes on command that a real
// one makes only when nobody looks.
//
//	agent := consultest.New()
//	defer agent.Close()
//	registry, err := consul.New(consul.WithTransport(agent.Transport()))
//	agent.ResetIndex()
//
// It speaks HTTP over pipes in memory, so that it works in a bubble of testing/synctest.
// What it knows of Consul it knows from its sources, version 1.22: a check that exists
// keeps its state when it is registered again, names are compared without regard to case,
// a list that is not allowed is empty, and streaming does not say who leads.
//
// # What it is not
//
// A cluster: there is one server, and what is registered is in the catalog at once.
package consultest
