// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

func playFirstAnswer(s *session) {
	s.place(s.q, s.instances(0, 2)...)
	s.finds("two instances that were there", s.q, s.instances(0, 2)...)
}

func playFirstAnswerEmpty(s *session) {
	w := s.watch(s.q)
	ctx, cancel := s.call()
	defer cancel()
	if err := w.next(ctx); err != nil {
		s.Fatalf("the first answer to %s, of which there is nothing: %v", s.q, err)
	}
	if len(w.seen) != 0 {
		s.Errorf("a watch of %s, of which there is nothing, sees %s", s.q, list(w.passing()))
	}
	s.place(s.q, s.instance(1))
	w.sees("the first instance", s.instance(1))
}

func playSeesChanges(s *session) {
	w := s.watch(s.q)
	w.sees("nothing")
	s.place(s.q, s.instance(1))
	w.sees("an instance that was added", s.instance(1))
	s.place(s.q, s.instances(1, 4)...)
	w.sees("two more", s.instances(1, 4)...)
	if !s.h.Lossy {
		heavy := s.instance(2)
		heavy.Weight = 7
		s.place(s.q, s.instance(1), heavy, s.instance(3))
		w.until("a weight that was changed", func() bool { return w.seen[heavy.ID].Weight == 7 })
	}
	s.place(s.q, s.instance(2))
	w.sees("two that were removed", s.instance(2))
	s.place(s.q)
	w.sees("the last one that was removed")
}

func playNoNews(s *session) {
	s.place(s.q, s.instances(0, 2)...)
	w := s.watch(s.q)
	w.sees("two instances", s.instances(0, 2)...)
	w.quiet("nothing happened", time.Second)
	if s.h.Registry == nil {
		return
	}
	// The place is registered as passing.
	r := s.registration(s.instance(0))
	s.put(r, longTTL, discovery.HealthPassing)
	w.quiet("the same was registered again", time.Second)
	for range 3 {
		s.beat(r, discovery.HealthPassing)
	}
	w.quiet("there were heartbeats", time.Second)
}

// soon is how long after the end of its context a call may return.
const soon = time.Second

func playWatchContext(s *session) {
	s.place(s.q, s.instance(0))
	w := s.watch(s.q)
	w.sees("an instance", s.instance(0))
	for n := 1; n <= 3; n++ {
		ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
		start := time.Now()
		if err := w.next(ctx); err == nil || ctx.Err() == nil {
			s.Errorf("Next without news returned %v before its context ended", err)
		}
		if took := time.Since(start); took > 50*time.Millisecond+soon {
			s.Errorf("Next returned %v after its context ended", took-50*time.Millisecond)
		}
		cancel()
		// Nobody is in Next meanwhile.
		s.place(s.q, s.instances(0, n+1)...)
		w.sees("what changed while nobody waited", s.instances(0, n+1)...)
	}
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	if err := w.next(ended); err == nil {
		s.Errorf("Next returned an update to a context that had ended")
	}
	s.place(s.q)
	w.sees("what changed after a context that had ended")
}

func playWatchClose(s *session) {
	w := s.watch(s.q)
	w.sees("nothing")
	done := make(chan error, 1)
	go func() {
		_, err := w.source.Next(s.ctx)
		done <- err
	}()
	time.Sleep(50 * time.Millisecond)
	if err := w.source.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	select {
	case err := <-done:
		if err == nil {
			s.Errorf("Next returned an update when it was closed")
		}
	case <-time.After(soon):
		s.Fatalf("Next still waits %v after Close", soon)
	}
	if err := w.source.Close(); err != nil {
		s.Errorf("a second Close: %v", err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, soon)
	defer cancel()
	if _, err := w.source.Next(ctx); err == nil || ctx.Err() != nil {
		s.Errorf("Next of a closed watch: %v", err)
	}
}

const leakCycles = 1000

func playWatchLeaks(s *session) {
	s.place(s.q, s.instances(0, 3)...)
	cycle := func() {
		w := s.watch(s.q)
		ctx, cancel := s.call()
		defer cancel()
		if err := w.next(ctx); err != nil {
			s.Fatalf("Next: %v", err)
		}
		_ = w.source.Close()
	}
	for range 10 { // connections that stay are made
		cycle()
	}
	before := settledGoroutines(0)
	for range leakCycles {
		cycle()
	}
	if after := settledGoroutines(before + 10); after > before+10 {
		s.Errorf("%d goroutines more after %d watches that were opened and closed", after-before, leakCycles)
	}
}

// settledGoroutines returns the number of goroutines once it does not fall any more, or
// is no more than enough.
func settledGoroutines(enough int) int {
	runtime.GC() // while it frees stacks, those that ended are counted, too
	n := runtime.NumGoroutine()
	for quiet := 0; quiet < 20 && n > enough; quiet++ {
		time.Sleep(20 * time.Millisecond)
		if now := runtime.NumGoroutine(); now < n {
			n, quiet = now, 0
		}
	}
	return n
}

// badNames is what could be taken for another name, a path or a pattern.
var badNames = []string{"", ".", "..", "../x", "a/b", "a//b", "/", "*", "a*", "%2e%2e", "ａ", "а", "a\u200b", "a b", "a\x00", "a\n", `a\b`, "a?b", "a#b", strings.Repeat("a", 200)}

func playQueryInvalid(s *session) {
	for _, bad := range badNames {
		for _, q := range []discovery.Query{{Namespace: discovery.Namespace(bad), Service: s.q.Service}, {Namespace: s.q.Namespace, Service: bad}} {
			ctx, cancel := s.call()
			if source, err := s.h.Catalog.Watch(ctx, q); err == nil {
				_ = source.Close()
				s.Errorf("Watch takes the query %+q", q)
			}
			cancel()
		}
	}
}

// playNamespaces also makes up names: those that share beginnings are where a prefix
// search goes wrong.
func playNamespaces(s *session) {
	spaces := []discovery.Namespace{s.h.Namespace, s.h.Other}
	if s.h.Registry != nil && s.h.Namespace == "conformance" { // any other is its registry's to know
		for _, suffix := range []string{"2", "-2", "0", "a", "-a-b"} {
			spaces = append(spaces, s.h.Namespace+discovery.Namespace(suffix))
		}
		for range 10 {
			spaces = append(spaces, randomNamespace())
		}
	}
	spaces = slices.Compact(slices.Sorted(slices.Values(spaces)))
	in := func(ns discovery.Namespace, n int) discovery.Instance {
		i := s.instance(n)
		i.Namespace = ns
		return i
	}
	q := func(ns discovery.Namespace) discovery.Query {
		return discovery.Query{Namespace: ns, Service: s.q.Service}
	}
	// The same service with the same id and address in each, and one more that tells
	// them apart.
	first := s.watch(q(spaces[0]))
	first.sees("nothing")
	for n, ns := range spaces {
		s.place(q(ns), in(ns, 0), in(ns, n+1))
	}
	for n, ns := range spaces {
		s.finds(fmt.Sprintf("the two of %s alone", ns), q(ns), in(ns, 0), in(ns, n+1))
	}
	first.sees("the two of the first alone", in(spaces[0], 0), in(spaces[0], 1))
	first.quiet("nothing happened in this namespace", 200*time.Millisecond)
	// What is removed in one stays in the others.
	s.place(q(spaces[1]))
	s.finds("nothing after all were removed", q(spaces[1]))
	s.finds("the two that were not removed", q(spaces[0]), in(spaces[0], 0), in(spaces[0], 1))
}

func randomNamespace() discovery.Namespace {
	const letters = "ab0-"
	for {
		b := make([]byte, 1+rand.IntN(12))
		for i := range b {
			b[i] = letters[rand.IntN(len(letters))]
		}
		if ns := discovery.Namespace(b); ns.Validate() == nil {
			return ns
		}
	}
}

func playServices(s *session) {
	names := []string{s.q.Service, s.q.Service + "2", s.q.Service + "-2", s.q.Service + ".x", "x-" + s.q.Service}
	if s.h.Lossy {
		names = names[:3] // a dot is another name's part
	}
	at := func(name string, n int) (discovery.Query, discovery.Instance) {
		in := s.instance(n)
		in.Service, in.ID = name, name+"@"+in.Address
		return discovery.Query{Namespace: s.q.Namespace, Service: name}, in
	}
	for n, name := range names {
		q, in := at(name, n)
		s.place(q, in)
	}
	for n, name := range names {
		q, in := at(name, n)
		s.finds("the one of "+name+" alone", q, in)
	}
}

func playMalformed(s *session) {
	s.place(s.q, s.instance(1))
	w := s.watch(s.q)
	w.sees("an instance", s.instance(1))
	for _, text := range []string{"", "not json", `{"v":1}`, `{"v":99,"id":"x"}`} {
		if err := s.h.PutRaw(s.q, []byte(text)); err != nil {
			s.Fatalf("PutRaw: %v", err)
		}
	}
	// One that is valid, and lies about where it belongs.
	foreign := s.instance(9)
	foreign.Namespace = s.h.Other
	text, err := discovery.EncodeInstance(foreign)
	if err != nil {
		s.Fatalf("EncodeInstance: %v", err)
	}
	if err := s.h.PutRaw(s.q, text); err != nil {
		s.Fatalf("PutRaw: %v", err)
	}
	s.place(s.q, s.instances(1, 3)...)
	w.until("the other instances, and a report of those that make none", func() bool {
		return len(w.passing()) == 2 && len(w.skipped) > 0
	})
	again := s.watch(s.q)
	again.sees("the valid instances, in a new watch", s.instances(1, 3)...)
	if len(again.skipped) == 0 {
		s.Errorf("a new watch reports no malformed entry")
	}
	for _, m := range append(w.skipped, again.skipped...) {
		if m.Key == "" || m.Err == nil {
			s.Errorf("a report of a malformed entry says too little: %+v", m)
		}
	}
}

func playMany(s *session) {
	w := s.watch(s.q)
	w.sees("nothing")
	n := s.h.Many
	for _, upTo := range []int{1, n / 10, n} {
		s.place(s.q, s.instances(0, upTo)...)
		w.sees(fmt.Sprintf("%d instances", upTo), s.instances(0, upTo)...)
	}
	s.finds(fmt.Sprintf("%d instances in one answer", n), s.q, s.instances(0, n)...)
	s.place(s.q, s.instances(1, n)...)
	w.sees("one that was removed of many", s.instances(1, n)...)
	s.place(s.q, s.instance(n-1))
	w.sees("all but one that were removed", s.instance(n-1))
}
