// SPDX-License-Identifier: Apache-2.0

// Package discovery keeps track of which instances of a service there are, and keeps
// this process's own registered, through whatever happens to the registry.
//
//	namespace, _, err := discovery.NamespaceFromEnv(os.LookupEnv) // "prod", or "dev" if nobody says
//
//	// A server: registered for as long as it is healthy.
//	registrar, err := discovery.NewRegistrar(registry, namespace,
//		discovery.Instance{Service: "order", Address: "10.0.0.7:8443"},
//		discovery.WithHealth(ready))
//	defer registrar.Deregister(ctx)
//
//	// A client: who can be called now, and what changes.
//	watcher, err := discovery.NewWatcher(registry, namespace)
//	defer watcher.Close()
//	sub, err := watcher.Subscribe(discovery.Query{Namespace: namespace, Service: "inventory"}, nil)
//	for {
//		snapshot, err := sub.Next(ctx)
//		…
//	}
//
// # Parts
//
//	back end (Registry, Catalog)      one call at a time, no loops: memory, static, dns,
//	   │              │               multi, consul, etcd
//	Registrar       Watcher           all loops, limits, back-off and jitter
//	   ▲              │ keeper        what callers may see of what the registry says
//	health            ▼
//	               Snapshot           immutable, with the difference to any other
//
// Back ends are small, because what is hard is in one place: a [Registration] makes
// single calls, a [Source] waits for one change. Neither repeats anything. The suite in
// testkit/discoverytest says what they have to get right, and plays faults to them.
//
// # What callers see
//
// An answer that the registry did not give is never an empty one. While it is away,
// callers keep the last instances known ([OriginLastKnownGood]), up to [WithMaxStale];
// a new process begins with those of the one before it, if there is a [Store]
// ([OriginDisk]). And a registry can be wrong. Three kinds of loss are not believed at
// once, and the instances held ([Hold]) where everybody can see it:
//
//   - All are gone. Believed after [WithEmptyHold], at once with [WithEmptyTrusted], or
//     never with [WithEmptyHeldForever].
//   - More went within the confirm time than the churn brake allows ([WithChurnBrake]).
//     It looks at a span of time and not at single answers, because a registry that
//     expires everybody does it one by one; and once it holds, it holds all of them, so
//     that those that are left do not get the load of all. Each is let go when it was
//     gone for the confirm time ([WithConfirmTime]).
//   - Some are gone after the registry was away, or when another one answers: they are
//     about to register again, and have the confirm time for it.
//
// What says that it leaves ([Registrar.Deregister]) is not lost, and never held.
// Additions and changes are never held. An instance that fails its checks counts as
// gone: if all fail at once, it is the check. An address that is dead costs a caller a
// failed connection, one that is missing an instance that could have served; therefore
// doubt is in favor of keeping it. Balancers leave out what does not connect.
//
// # Environments
//
// A [Namespace] is part of every registration and query. A [Registrar] and a [Watcher]
// belong to the process's own and refuse others, instances that a back end returns from
// another are dropped, and back ends use their registry's own means to keep them apart.
//
// # Decisions
//
//   - One [Watcher] for a process, one goroutine and one outstanding query for a
//     service, however many clients it has. Subscribers see the latest snapshot only:
//     there is no queue that could grow.
//   - Sets are made of shared chunks. An update of one instance in 10,000 costs
//     microseconds and 4 kB, and the difference between any two sets what differs.
//   - The health check runs on a goroutine of its own: a process whose checks hang
//     fails, with its port open and its heartbeats on time.
//   - A registration is read back. A registry that takes what it does not show would
//     otherwise cost an instance that nobody misses.
//   - Two processes with one id do not fight: the one that finds the other's address in
//     its place leaves it alone, and says so, until the other has gone.
//   - Times to live are what [WithTTL] says or longer, never shorter than the server's
//     own time limits ([WithServerTimeout]).
//
// # What it is not
//
// It balances nothing and connects to nothing: grpcresolver, balancer and httpmw take
// its snapshots. It knows no registry; the packages below it do. It writes no log and
// no metric: an [Observer] is told everything.
//
// # Concurrency
//
// Registrars and watchers are safe for concurrent use, and own their goroutines:
// [Registrar.Deregister] and [Watcher.Close] end them.
package discovery
