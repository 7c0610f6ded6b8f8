// SPDX-License-Identifier: Apache-2.0

// Package etcd registers instances in etcd and watches them there.
//
//	registry, err := etcd.FromEnv(discovery.NewSettings(os.LookupEnv)) // ETCD_ENDPOINTS, ETCDCTL_…
//	defer registry.Close()
//	registrar, err := discovery.NewRegistrar(registry, namespace, discovery.Instance{Service: "order", Address: "10.0.0.7:8443"})
//	watcher, err := discovery.NewWatcher(registry, namespace)
//
// It makes single calls. The loops, time limits and pauses are those of package
// discovery, which is also what keeps callers served while etcd is away.
//
// # Keys
//
//	key      fairlead/prod/order/order@10.0.0.7:8443
//	         prefix   namespace, service and id, as [discovery.Key.String] writes them
//	value    an instance, as [discovery.EncodeInstance] writes it
//	lease    one for each registration: what has none never ends, and is not ours to put
//
//	watched  fairlead/prod/order/     with the slash: "prod" does not find "prod2"
//	swept    fairlead/prod/
//
// Every key that is found is parsed, and its parts are compared with those of the
// value. What does not agree is reported as malformed, and never shown.
//
// # Permissions
//
// With authentication, a process that registers needs a role with readwrite permission on
// the prefix of its environment, one that only watches needs read:
//
//	etcdctl role grant-permission order-prod readwrite fairlead/prod/ --prefix=true
//
// That is also what keeps environments apart against those who mean harm; the package
// keeps apart those who do not. [Backend.Inspect] needs a user, and no permission.
//
// # Decisions
//
//   - Lists are linearizable. They replace all that is known, and a member that has lost
//     the others would list what was; if there is no majority, that is an error, and
//     callers keep what they have. Watches end when their member has no leader, for the
//     same reason.
//   - A watch begins at the revision behind its list, so that nothing falls in between.
//     Whatever ends it, a broken connection, a compaction, a token, is an error of
//     Next, and the next one lists again: there is no revision to keep for later. The
//     watcher of etcd's client goes on by itself instead, and says nothing for as long as
//     it cannot; that is why this package has its own.
//   - All watches share one stream, for which each process would otherwise cost the
//     servers as much again as for its connection. What was not collected yet is kept
//     once for each key, however often it changes.
//   - A registration keeps its lease until that is over, or another time to live is asked
//     for. A call that failed half-way has left the same lease that the next one uses,
//     and no value is put without one. A key whose lease is another's is left to it.
//   - A heartbeat is two calls: whether the entry is there and whose it is, and the
//     renewal. The time to live is in whole seconds, and at least one and a half times
//     etcd's election timeout: what was granted is returned.
//   - Deregister revokes the lease. What a successor for the same address has put in
//     place meanwhile stays.
//   - TLS, unless an endpoint begins with http:// ([WithEndpoints]).
//   - The client logs nothing, connects again within 2 s of etcd's return, repeats no
//     call but one whose token has expired, and is asked for a token once and not for
//     each stream. With [NewWithClient] that is up to whoever made it.
//
// # What it is not
//
// It is no client for anything else in etcd, no lock and no election. It does not follow
// changes of the cluster's members: name them all, or a name that stands for them. Tokens
// that somebody else issued (JWT) are for clients that are given. It does not compact
// or defragment anything.
//
// # Concurrency
//
// A [Backend] is safe for concurrent use, and starts no goroutine besides
// its client's but one, which reads the stream of watches while there are any.
package etcd
