// SPDX-License-Identifier: Apache-2.0

// Package consul registers instances in Consul, and watches them there.
//
//	settings := discovery.NewSettings(os.LookupEnv)
//	registry, err := consul.FromEnv(settings) // CONSUL_HTTP_ADDR and the others
//	defer registry.Close()
//	registrar, err := discovery.NewRegistrar(registry, "prod", discovery.Instance{Service: "order", Address: "10.0.0.7:8443"})
//	watcher, err := discovery.NewWatcher(registry, "prod")
//
// It is a module of its own: whoever does not use Consul does not get its client.
//
// # What is registered
//
//	of the instance       in Consul                          for example
//	namespace, service    name of the service                prod--order
//	id                    id of the service                  prod--order:order@10.0.0.7:8443
//	address               Address and Port                   10.0.0.7, 8443
//	weight                Weights.Passing and .Warning       1
//	tags                  Tags, with those of WithTags
//	metadata              Meta
//	namespace             Meta fairlead-namespace            prod
//	zone, version         Meta fairlead-zone, -version       eu-1a, 1.2.3
//	time to live, health  check service:<id>, with a TTL     15s, passing
//
// The id is that of the instance, so that registering again, by whatever process,
// replaces the entry (with replace-existing-checks). The check has the instance's state
// from the beginning. When its time to live is over it is critical, and nobody calls the
// instance; Consul removes it some time later ([WithDeregisterAfter]).
//
// Upper case is written as "!" and lower case ("!order" for "Order"), because Consul
// finds names without regard to case.
//
// # Environments
//
// An environment is part of the name of a service. A query is for one name, so that
// Consul does not even send what is in another environment, and a token can be confined
// to one. The name ends where the first "--" is: one inside of an environment's name
// becomes "-_". No two names have the same place, and names of lower case letters, digits
// and single hyphens make DNS labels, if they are short: dig prod--order.service.consul.
// The mark in the metadata says who wrote an entry, and is compared as well. Tags say
// nothing about environments.
//
// With Consul Enterprise, [WithNativeNamespaces] uses Consul's own namespaces instead,
// and [WithConsulNamespace] and [WithPartition] are a fence around all of it.
//
// # Entries of others
//
// What was registered under such a name by hand, or by another program, is an instance
// like any if it has an address and a port; its id is the one in Consul, its weight what
// it says, and without a check its health is unknown. What makes no valid instance, says
// that it belongs to another environment, or has its name in another case is left out and
// reported. An id that is on two nodes, because a process moved to another agent, is seen
// once: the one that passes, that is ours, that was written last.
//
// # Access control
//
// For a process of "prod" that registers and watches:
//
//	service_prefix "prod--" { policy = "write" }
//	node_prefix "" { policy = "read" }
//
// One that only watches needs "read" in the first line. A patrol tells more with operator
// = "read". A sweep lists the names of all services, and has to be allowed to: service_prefix
// "" { policy = "read" }; to remove what other agents left behind, it needs node_prefix ""
// { policy = "write" }, and agent_prefix "" { policy = "read" } to know its own.
//
// Consul leaves out of a list what a token must not read. Such an answer is [ErrDenied],
// and never an empty service. Tokens are sent to no other host than the agent's, not even
// if it redirects, and over a network in plain text only if the address says http://.
//
// # Decisions
//
//   - Consistency: the first query of a watch, and each after an error, is answered by
//     the leader. Those that wait are stale: any server may answer, which survives the
//     loss of a leader and asks nothing more of it. An answer counts only if its server
//     knows a leader and has heard from it within 10 s, so that one which was left behind,
//     or is still empty, takes nothing away. Answers of streaming say nothing of a
//     leader, and are believed.
//   - Index: one that is smaller than the last is no answer. The leader is asked anew,
//     and only the difference to before is told. 0 counts as 1.
//   - Waits are short ([DefaultWait]). That bounds how long a dead connection is not
//     noticed: the wait, a sixteenth of it, and 5 s.
//   - Consul answers in full whatever changed. Entries whose text is the same as before
//     are not decoded again, and no query follows the one before sooner than it took to
//     read that one's answer.
//   - Everything is asked of one agent, which is meant to be on the same host. If it is
//     gone, its instances are, for Consul, failing; watchers hold them as after any loss.
//   - An agent that cannot reach a leader may take no heartbeats for some seconds. Times to
//     live have to be longer than an election (2 to 10 s): the default is.
//   - Lookup asks the catalog, as watches do, and any server of it. The agent may know what
//     never reached it.
//   - What was registered by this package and expires is [discovery.Sweeper]'s to list; an
//     instance that says of itself that it fails has not expired.
//
// # What it is not
//
// It has no loops, no retries and no back-off: a [discovery.Registrar] and a
// [discovery.Watcher] do, and a [discovery.Patrol]. It registers no sidecars, configures
// no agent and writes no keys. Consul limits connections per client to 200
// (limits.http_max_conns_per_client): a process that watches more services than that
// without TLS, and so without HTTP/2, has to raise it. Datacenters that stand in for each
// other are package multi's.
//
// # Concurrency
//
// A [Backend] is safe for concurrent use. It starts no goroutine; a watch has at most one
// query under way. Connections that are idle are closed by [Backend.Close], or after 90 s.
package consul
