// SPDX-License-Identifier: Apache-2.0

package discoverylog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
	"github.com/fairlead-go/fairlead/discovery/discoverylog"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/discovery/multi"
	"github.com/fairlead-go/fairlead/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain returns a logger to w that leaves out the time.
func plain(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, AddSource: true, ReplaceAttr: withoutTime}))
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

var (
	orders  = discovery.Query{Namespace: "prod", Service: "order"}
	key     = discovery.Key{Namespace: "prod", Service: "order", ID: "a"}
	in      = discovery.Instance{Namespace: "prod", Service: "order", ID: "a", Address: "10.0.0.7:80", Weight: 1}
	errAway = errors.New("connection refused")
)

// snap returns a snapshot of n instances.
func snap(origin discovery.Origin, n int, err error) *discovery.Snapshot {
	var all []discovery.Instance
	for i := range n {
		one := in
		one.ID = fmt.Sprint(i)
		all = append(all, one)
	}
	return &discovery.Snapshot{Query: orders, Origin: origin, Instances: discovery.NewSet(all...), Err: err}
}

func held(s *discovery.Snapshot, hold discovery.Hold, n int, until time.Duration) *discovery.Snapshot {
	s.Hold, s.Held = hold, n
	if until > 0 {
		s.Until = time.Now().Add(until)
	}
	return s
}

func delivered(from, to *discovery.Snapshot) func(*discoverylog.Log) {
	return func(l *discoverylog.Log) { l.Discovery().Delivered(discovery.Delivery{Previous: from, Snapshot: to}) }
}

func state(from, to discovery.State, err error) func(*discoverylog.Log) {
	return func(l *discoverylog.Log) {
		l.Discovery().StateChanged(discovery.StateChange{Key: key, From: from, To: to, Err: err, Failures: 5, Next: 10 * time.Second, TTL: 15 * time.Second})
	}
}

const (
	service = `"service":"order","namespace":"prod"`
	id      = service + `,"id":"a"`
)

// TestLines: what is told and what is written, which is nothing where want is empty.
func TestLines(t *testing.T) {
	stale, unasked := fmt.Errorf("%w: since yesterday", discovery.ErrStale), fmt.Errorf("%w: wait", discovery.ErrNotAnswered)
	none := snap(discovery.OriginNone, 0, unasked)
	for _, tc := range []struct {
		name string
		tell func(*discoverylog.Log)
		want string
	}{
		{"first", delivered(nil, snap(discovery.OriginLive, 2, nil)), ""},
		{"first, and nothing", delivered(nil, snap(discovery.OriginLive, 0, nil)), `WARN no instances {` + service + `,"origin":"live"}`},
		{"first, and away", delivered(nil, snap(discovery.OriginNone, 0, errAway)), `WARN registry does not answer {` + service + `,"origin":"none","instances":0,"error":"connection refused"}`},
		{"begun from disk", delivered(nil, snap(discovery.OriginDisk, 2, unasked)), ""},
		{"from disk, and away", delivered(snap(discovery.OriginDisk, 2, unasked), snap(discovery.OriginDisk, 2, errAway)), `WARN registry does not answer {` + service + `,"origin":"disk","instances":2,"error":"connection refused"}`},
		{"from disk, and live", delivered(snap(discovery.OriginDisk, 2, unasked), snap(discovery.OriginLive, 2, nil)), ""},
		{"answered at last", delivered(none, snap(discovery.OriginLive, 2, nil)), ""},
		{"lost", delivered(snap(discovery.OriginLive, 2, nil), snap(discovery.OriginLastKnownGood, 2, errAway)), `WARN registry does not answer {` + service + `,"origin":"last-known-good","instances":2,"error":"connection refused"}`},
		{"still lost", delivered(snap(discovery.OriginLastKnownGood, 2, errAway), snap(discovery.OriginLastKnownGood, 1, errAway)), ""},
		{"back", delivered(snap(discovery.OriginLastKnownGood, 2, errAway), snap(discovery.OriginLive, 3, nil)), `INFO registry answers again {` + service + `,"instances":3}`},
		{"fallback", delivered(snap(discovery.OriginLive, 2, nil), snap(discovery.OriginFallback, 3, nil)), `WARN registry gives way to its fallback {` + service + `,"instances":3}`},
		{"from the fallback", delivered(snap(discovery.OriginFallback, 2, nil), snap(discovery.OriginLive, 3, nil)), `INFO registry answers again {` + service + `,"instances":3}`},
		{"stale", delivered(snap(discovery.OriginLastKnownGood, 2, errAway), snap(discovery.OriginNone, 0, stale)), `WARN instances are too old to be used {` + service + `,"error":"discovery: last known instances are too old: since yesterday"}`},
		{"still stale", delivered(snap(discovery.OriginNone, 0, stale), snap(discovery.OriginNone, 0, stale)), ""},
		{"after stale", delivered(snap(discovery.OriginNone, 0, stale), snap(discovery.OriginLive, 1, nil)), `INFO registry answers again {` + service + `,"instances":1}`},
		{"all gone", delivered(snap(discovery.OriginLive, 2, nil), snap(discovery.OriginLive, 0, nil)), `WARN no instances {` + service + `,"origin":"live"}`},
		{"held", func(l *discoverylog.Log) {
			delivered(snap(discovery.OriginLive, 8, nil), held(snap(discovery.OriginLive, 8, nil), discovery.HoldChurn, 6, 30*time.Second))(l)
		}, `WARN instances held {` + service + `,"hold":"churn","held":6,"instances":8,"for_ms":30000}`},
		{"held for no known time", delivered(snap(discovery.OriginLive, 8, nil), held(snap(discovery.OriginLive, 8, nil), discovery.HoldEmpty, 8, 0)), `WARN instances held {` + service + `,"hold":"empty","held":8,"instances":8}`},
		{"held on", delivered(held(snap(discovery.OriginLive, 8, nil), discovery.HoldChurn, 6, 0), held(snap(discovery.OriginLive, 8, nil), discovery.HoldChurn, 7, 0)), ""},
		{"not held any more", delivered(held(snap(discovery.OriginLive, 8, nil), discovery.HoldChurn, 6, 0), snap(discovery.OriginLive, 2, nil)), `INFO instances not held any more {` + service + `,"instances":2}`},
		{"changed", func(l *discoverylog.Log) {
			s := snap(discovery.OriginLive, 4, nil)
			l.Discovery().Delivered(discovery.Delivery{Previous: s, Snapshot: s, Added: 1, Removed: 2, Changed: 3})
		}, `DEBUG instances changed {` + service + `,"added":1,"removed":2,"changed":3,"instances":4}`},
		{"skipped", func(l *discoverylog.Log) {
			l.Discovery().Skipped(discovery.Skipped{Query: orders, Malformed: discovery.Malformed{Key: "k", Err: errors.Join(errAway, errAway)}})
		}, `WARN entry skipped {` + service + `,"key":"k","error":"connection refused; connection refused"}`},
		{"store", func(l *discoverylog.Log) { l.Discovery().StoreFailed(orders, errAway) }, `WARN store failed {` + service + `,"error":"connection refused"}`},

		{"registering", state(discovery.StatePending, discovery.StateRegistering, nil), ""},
		{"accepted", state(discovery.StateRegistering, discovery.StateRegistered, nil), ""},
		{"visible", state(discovery.StateRegistered, discovery.StateVisible, nil), `INFO registered {` + id + `,"ttl_ms":15000}`},
		{"away", state(discovery.StateVisible, discovery.StateAway, errAway), `WARN registration away {` + id + `,"error":"connection refused"}`},
		{"back from away", state(discovery.StateAway, discovery.StateVisible, nil), `INFO registration back {` + id + `}`},
		{"forgotten", state(discovery.StateVisible, discovery.StateRegistering, discovery.ErrUnknownRegistration), `WARN registration lost {` + id + `,"error":"discovery: unknown registration"}`},
		{"not to be seen", state(discovery.StateRegistered, discovery.StateRegistering, discovery.ErrNotVisible), `WARN registration lost {` + id + `,"error":"discovery: not visible"}`},
		{"again after a rest", state(discovery.StateOpen, discovery.StateRegistering, errAway), ""},
		{"open", state(discovery.StateRegistering, discovery.StateOpen, errAway), `WARN registration rests {` + id + `,"failures":5,"next_ms":10000,"error":"connection refused"}`},
		{"conflict", state(discovery.StateRegistered, discovery.StateConflict, discovery.ErrDuplicateID), `ERROR registration conflict {` + id + `,"error":"discovery: duplicate id"}`},
		{"stopped", state(discovery.StateVisible, discovery.StateStopped, nil), `INFO deregistered {` + id + `}`},
		{"not stopped", state(discovery.StateVisible, discovery.StateStopped, errAway), `WARN not deregistered {` + id + `,"error":"connection refused"}`},
		{"TTL", func(l *discoverylog.Log) {
			l.Discovery().TTLChanged(discovery.TTLChange{Key: key, From: time.Second, To: 2 * time.Second, Reason: "granted"})
		}, `DEBUG time to live changed {` + id + `,"from_ms":1000,"to_ms":2000,"reason":"granted"}`},

		{"finding", func(l *discoverylog.Log) {
			l.Discovery().FindingChanged(discovery.FindingChange{Finding: discovery.Finding{Kind: discovery.FindingSlow, Member: "s1", Detail: "2s"}})
		}, `WARN registry finding {"kind":"slow","member":"s1","detail":"2s"}`},
		{"finding over", func(l *discoverylog.Log) {
			l.Discovery().FindingChanged(discovery.FindingChange{Finding: discovery.Finding{Kind: discovery.FindingNoLeader, Detail: "x"}, Over: true, After: time.Second})
		}, `INFO registry finding over {"kind":"no_leader","after_ms":1000}`},
		{"leader", func(l *discoverylog.Log) {
			l.Discovery().PatrolDone(discovery.PatrolRound{LeaderChanged: true, Cluster: discovery.Cluster{Leader: "s2"}})
			l.Discovery().PatrolDone(discovery.PatrolRound{Cluster: discovery.Cluster{Leader: "s2"}})
		}, `INFO registry leader changed {"leader":"s2"}`},

		{"moved", func(l *discoverylog.Log) {
			l.Fallback().Switched(multi.Switch{Query: orders, ID: "a", ToFallback: true, Took: 1100 * time.Millisecond, Err: errAway})
			l.Fallback().Switched(multi.Switch{Query: orders, ToFallback: true})
		}, `WARN moved to the fallback registry {` + id + `,"took_ms":1100,"error":"connection refused"}`},
		{"moved back", func(l *discoverylog.Log) { l.Fallback().Switched(multi.Switch{Query: orders, ID: "a"}) }, `INFO moved to the primary registry {` + id + `}`},
		{"both away", func(l *discoverylog.Log) {
			for i := range 5 {
				l.Fallback().Away(multi.Away{Key: key, Heartbeats: i + 1, Err: errAway})
			}
		}, `WARN no registry takes heartbeats {` + id + `,"error":"connection refused"}`},
		{"cleaned up", func(l *discoverylog.Log) { l.Fallback().CleanedUp(key, nil) }, ""},
		{"not cleaned up", func(l *discoverylog.Log) { l.Fallback().CleanedUp(key, errAway) }, `WARN fallback not cleaned up {` + id + `,"error":"connection refused"}`},

		{"ejected", func(l *discoverylog.Log) {
			l.Balancer("order").Ejected(balancer.Ejection{Instance: &in, Reason: balancer.ReasonConsecutive, For: 30 * time.Second, Times: 1})
		}, `WARN endpoint ejected {"service":"order","id":"a","address":"10.0.0.7:80","reason":"consecutive","for_ms":30000,"times":1}`},
		{"unreachable", func(l *discoverylog.Log) {
			for i := range 5 {
				l.Balancer("order").Unreachable(balancer.Unreached{Instance: &in, Backoff: time.Second, Failures: i + 1})
			}
		}, `WARN endpoint unreachable {"service":"order","id":"a","address":"10.0.0.7:80","backoff_ms":1000}`},
		{"returned", func(l *discoverylog.Log) {
			l.Balancer("order").Returned(balancer.Return{Instance: &in, Reason: balancer.ReasonUnreachable})
		}, `INFO endpoint back {"service":"order","id":"a","address":"10.0.0.7:80","reason":"unreachable"}`},
		{"panic", func(l *discoverylog.Log) { l.Balancer("order").Panicked(balancer.Panic{On: true, Usable: 1, Of: 9}) }, `WARN ejections ignored {"service":"order","usable":1,"of":9}`},
		{"panic over", func(l *discoverylog.Log) { l.Balancer("order").Panicked(balancer.Panic{Usable: 8, Of: 9}) }, `INFO ejections count again {"service":"order","usable":8,"of":9}`},

		{"check fails", func(l *discoverylog.Log) {
			l.Health().Changed(health.Change{Name: "db", From: health.StateOK, To: health.StateTimeout, WasPassing: true, Err: errAway, Latency: time.Second})
		}, `WARN check failing {"check":"db","state":"timeout","error":"connection refused","latency_ms":1000}`},
		{"check fails at first", func(l *discoverylog.Log) {
			l.Health().Changed(health.Change{Name: "db", To: health.StateError, Err: errAway})
		}, `WARN check failing {"check":"db","state":"error","error":"connection refused"}`},
		{"check fails once", func(l *discoverylog.Log) {
			l.Health().Changed(health.Change{Name: "db", From: health.StateOK, To: health.StateError, WasPassing: true, Passing: true, Err: errAway})
		}, `DEBUG check changed {"check":"db","state":"error","error":"connection refused"}`},
		{"check passes", func(l *discoverylog.Log) {
			l.Health().Changed(health.Change{Name: "db", From: health.StateError, To: health.StateOK, Passing: true, Lasted: time.Minute})
		}, `INFO check passing {"check":"db","state":"ok","after_ms":60000}`},
		{"check passes at first", func(l *discoverylog.Log) {
			l.Health().Changed(health.Change{Name: "db", To: health.StateOK, Passing: true})
		}, `DEBUG check passing {"check":"db","state":"ok"}`},
		{"ready", func(l *discoverylog.Log) { l.Health().StatusChanged(health.StatusChange{To: health.StatusReady}) }, `INFO ready {"status":"ready"}`},
		{"not ready", func(l *discoverylog.Log) {
			l.Health().StatusChanged(health.StatusChange{To: health.StatusFailing, Err: errAway})
		}, `WARN not ready {"status":"failing","error":"connection refused"}`},
		{"draining", func(l *discoverylog.Log) { l.Health().StatusChanged(health.StatusChange{To: health.StatusDraining}) }, `INFO draining {"status":"draining"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				tc.tell(discoverylog.New(plain(&out, slog.LevelDebug)))
				got := strings.NewReplacer(`{"level":"`, "", `","msg":"`, " ").Replace(strings.TrimSuffix(out.String(), "\n"))
				got = strings.Replace(got, `",`, ` {`, 1)
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// messages returns the messages of lines, with their levels.
func messages(t testing.TB, text string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(text) {
		var l struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l.Level+" "+l.Msg)
	}
	return out
}

// TestHeartbeats: an instance that changes its own health has a line, the others none.
func TestHeartbeats(t *testing.T) {
	var out bytes.Buffer
	o := discoverylog.New(plain(&out, slog.LevelDebug)).Discovery()
	for _, h := range []discovery.Health{discovery.HealthPassing, discovery.HealthPassing, discovery.HealthFailing, discovery.HealthFailing, discovery.HealthPassing} {
		o.HeartbeatDone(discovery.Heartbeat{Key: key, Health: h, Reason: errAway})
	}
	want := []string{"WARN instance reports failing", "INFO instance reports passing"}
	if diff := cmp.Diff(want, messages(t, out.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSweeps: a leftover has a line when it is found and one when it is removed, and a
// sweep that fails has one until it works again.
func TestSweeps(t *testing.T) {
	var out bytes.Buffer
	o := discoverylog.New(plain(&out, slog.LevelDebug)).Discovery()
	now := time.Now()
	report := func(since time.Time, change func(*discovery.Leftover)) discovery.SweepReport {
		l := discovery.Leftover{Kind: discovery.LeftoverImmortal, Since: since, Entry: discovery.Entry{Key: "k"}}
		change(&l)
		return discovery.SweepReport{Namespace: "prod", At: now, Leftovers: []discovery.Leftover{l}}
	}
	before := now.Add(-time.Hour)
	for _, r := range []discovery.SweepReport{
		report(now, func(*discovery.Leftover) {}),
		report(before, func(*discovery.Leftover) {}),
		report(before, func(l *discovery.Leftover) { l.Err = discovery.ErrChanged }),
		report(before, func(l *discovery.Leftover) { l.Removed = true }),
		{Namespace: "prod", Err: errAway}, {Namespace: "prod", Err: errAway}, {Namespace: "prod"}, {Namespace: "prod", Err: errAway},
	} {
		o.SweepDone(r)
	}
	want := []string{"WARN leftover", "WARN leftover not removed", "INFO leftover removed", "WARN sweep failed", "WARN sweep failed"}
	if diff := cmp.Diff(want, messages(t, out.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStory: a registry that is away for an hour has a line when it goes and one when
// it is back, for the service and for the registration.
func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out syncBuffer
		registry := memory.New()
		told := discovery.WithObserver(discoverylog.New(plain(&out, slog.LevelInfo)).Discovery())
		registrar, err := discovery.NewRegistrar(registry, "prod", in, told)
		if err != nil {
			t.Fatal(err)
		}
		watcher, err := discovery.NewWatcher(registry, "prod", told)
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.Close()
		if err := registrar.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := watcher.Subscribe(orders, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantLines(t, &out, "INFO registered")
		registry.Faults().Down(true)
		time.Sleep(time.Hour)
		wantLines(t, &out, "WARN registration away", "WARN registry does not answer")
		registry.Faults().Down(false)
		time.Sleep(time.Minute)
		// It had expired. Whether it is held meanwhile depends on who comes first.
		wantLines(t, &out, "INFO registered", "INFO registry answers again", "WARN registration lost")
		if err := registrar.Deregister(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		wantLines(t, &out, "INFO deregistered", "WARN no instances")
	})
}

// wantLines compares the lines since it was last called, but those of holds, in any
// order.
func wantLines(t *testing.T, out *syncBuffer, want ...string) {
	t.Helper()
	synctest.Wait()
	got := slices.DeleteFunc(messages(t, out.take()), func(m string) bool {
		return m == "WARN instances held" || m == "INFO instances not held any more"
	})
	if diff := cmp.Diff(want, got, cmp.Transformer("sorted", sortedCopy)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.b.String()
	b.b.Reset()
	return text
}

// TestBounds: however much happens, there are 10 lines in 10 seconds of one message
// about one service, and none is lost without a trace.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := discoverylog.New(plain(&out, slog.LevelDebug))
		eject := func(service string) { l.Balancer(service).Ejected(balancer.Ejection{Instance: &in}) }
		for range 1000 {
			eject("order")
		}
		eject("price")
		if n := strings.Count(out.String(), "\n"); n != 11 {
			t.Errorf("%d lines of 1001, want 11", n)
		}
		out.Reset()
		time.Sleep(10*time.Second - 1)
		eject("order")
		if out.Len() > 0 {
			t.Errorf("too early: %s", &out)
		}
		time.Sleep(1)
		eject("order")
		eject("order")
		if got := out.String(); strings.Count(got, "\n") != 2 || strings.Count(got, `"suppressed":991`) != 1 {
			t.Errorf("in the next window: %s", got)
		}
		out.Reset()
		time.Sleep(time.Minute)
		eject("order") // it had its room all the time
		for i := range 5000 {
			for range 11 {
				eject(fmt.Sprint(i))
			}
		}
		// A window each until there is no room; then they share one.
		if n := strings.Count(out.String(), "\n"); n < 9900 || n > 10_020 {
			t.Errorf("%d lines about 5000 services", n)
		}
		out.Reset()
		time.Sleep(time.Hour)
		for _, service := range []string{"new", "newer"} {
			for range 11 {
				eject(service)
			}
		}
		if n := strings.Count(out.String(), "\n"); n != 20 {
			t.Errorf("%d lines about two services for which there is room again", n)
		}
	})
}

// TestLongTexts: what peers may have written is cut.
func TestLongTexts(t *testing.T) {
	var out bytes.Buffer
	long := strings.Repeat("é\n", 5000)
	discoverylog.New(plain(&out, slog.LevelDebug)).Discovery().Skipped(discovery.Skipped{
		Query: orders, Malformed: discovery.Malformed{Key: long, Err: errors.New(long)},
	})
	if out.Len() > 3500 || !json.Valid(out.Bytes()) || bytes.Contains(out.Bytes(), []byte(`\n`)) {
		t.Errorf("a line of %d bytes", out.Len())
	}
}

// TestNobody: without a logger there is nothing to be told.
func TestNobody(t *testing.T) {
	l := discoverylog.New(nil)
	if l.Discovery().Delivered != nil || l.Fallback().Switched != nil || l.Balancer("x").Ejected != nil || l.Health().Changed != nil {
		t.Error("a nil logger is written to")
	}
}
