// SPDX-License-Identifier: Apache-2.0

package consultest

import (
	"net/http"
	"strings"
	"time"
)

// faults is what is wrong at the moment. It is guarded by the agent's lock.
type faults struct {
	down, hangs, hidden, torn, leaderless, streaming, filtered, indexless bool

	latency, lag time.Duration
	answers      map[string]answer // by the beginning of paths
}

type answer struct {
	code int
	text string
}

// interrupts reports whether those that wait for a change are to be answered.
func (f *faults) interrupts() bool {
	_, all := f.answers[""]
	return all || f.down
}

func (a *Agent) wrong(change func(*faults)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.faults)
	a.signal()
}

func (a *Agent) present() faults {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.faults
}

// Down makes the agent refuse and cut all connections, or ends that.
func (a *Agent) Down(down bool) {
	a.wrong(func(f *faults) { f.down = down })
	if down {
		a.listener.cut()
	}
}

// Cut cuts all connections, once.
func (a *Agent) Cut() { a.listener.cut() }

// Hang makes no request be answered, those under way included, until it ends.
func (a *Agent) Hang(hang bool) { a.wrong(func(f *faults) { f.hangs = hang }) }

// Slow makes requests take d longer.
func (a *Agent) Slow(d time.Duration) { a.wrong(func(f *faults) { f.latency = d }) }

// Answer makes requests whose paths begin with a prefix be answered with a code and a
// text; code 0 ends it. The prefix "" is all of them, those that wait included.
func (a *Agent) Answer(prefix string, code int, text string) {
	a.wrong(func(f *faults) {
		if code == 0 {
			delete(f.answers, prefix)
			return
		}
		f.answers[prefix] = answer{code, text}
	})
}

// Torn makes answers end in their middle, or ends that.
func (a *Agent) Torn(torn bool) { a.wrong(func(f *faults) { f.torn = torn }) }

// Leaderless takes the servers' leader away: only stale queries are answered, and say so.
func (a *Agent) Leaderless(leaderless bool) { a.wrong(func(f *faults) { f.leaderless = leaderless }) }

// Lag makes answers say that their server has not heard from the leader for d.
func (a *Agent) Lag(d time.Duration) { a.wrong(func(f *faults) { f.lag = d }) }

// Streaming makes queries that wait be answered from a stream, as an agent does that is
// no server.
func (a *Agent) Streaming(streaming bool) { a.wrong(func(f *faults) { f.streaming = streaming }) }

// Filtered makes lists be empty for a token that must not read, or ends that.
func (a *Agent) Filtered(filtered bool) {
	a.wrong(func(f *faults) { f.filtered = filtered })
	a.touch()
}

// Indexless makes answers lack their index, as those of something that is no Consul.
func (a *Agent) Indexless(indexless bool) { a.wrong(func(f *faults) { f.indexless = indexless }) }

// Hide makes lists be empty, though everything is there, or ends that.
func (a *Agent) Hide(hide bool) {
	a.wrong(func(f *faults) { f.hidden = hide })
	a.touch()
}

// touch makes all services change.
func (a *Agent) touch() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.records {
		a.bump(r.service.Service)
	}
}

// Forget makes the agent and the catalog lose all services.
func (a *Agent) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := range a.records {
		a.remove(p)
	}
}

// Expire ends all times to live.
func (a *Agent) Expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, r := range a.records {
		if len(r.checks) > 0 && r.verbatim == nil {
			a.expired(p, r)
		}
	}
}

// DropChecks makes the agent forget all checks, and keep the services.
func (a *Agent) DropChecks() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.records {
		r.stop()
		r.checks = nil
		a.bump(r.service.Service)
	}
}

// ResetIndex makes all indexes begin anew. Those that wait are answered, as they are when
// a server restores a snapshot.
func (a *Agent) ResetIndex() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.index, a.epoch = firstIndex, a.epoch+1
	clear(a.indexes)
	a.signal()
}

// delay is for an agent that is slow.
func (a *Agent) delay(r *http.Request) {
	t := time.NewTimer(a.present().latency)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

// pass is what stands before each answer: the faults. It reports whether the request is
// to be answered as usual.
func (a *Agent) pass(w http.ResponseWriter, r *http.Request) bool {
	for {
		a.mu.Lock()
		f, changed := a.faults, a.changed
		scripted, found := f.scripted(r.URL.Path)
		a.mu.Unlock()
		switch {
		case r.Context().Err() != nil:
			return false
		case f.down:
			panic(http.ErrAbortHandler)
		case f.hangs:
			select {
			case <-changed:
			case <-r.Context().Done():
			}
		case found:
			w.Header().Set("X-Consul-Index", "1")
			w.Header().Set("X-Consul-Knownleader", "true")
			w.Header().Set("X-Consul-Lastcontact", "0")
			w.WriteHeader(scripted.code)
			_, _ = w.Write([]byte(scripted.text))
			return false
		default:
			return true
		}
	}
}

// scripted returns the answer for a path: that of the longest prefix. It requires the
// agent's lock.
func (f *faults) scripted(path string) (found answer, ok bool) {
	longest := -1
	for prefix, a := range f.answers {
		if len(prefix) > longest && strings.HasPrefix(path, prefix) {
			found, ok, longest = a, true, len(prefix)
		}
	}
	return found, ok
}
