// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/health"
)

// ready returns a set of n checks that pass.
func ready(t testing.TB, n int) *health.Set {
	t.Helper()
	s := exact(t)
	for i := range n {
		add(t, s, fmt.Sprintf("check%d", i), passes)
	}
	s.Start()
	if err := s.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := ready(t, 10)
	g, err := s.Group("check3", "check7")
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Watch("loop", time.Hour, health.WithAssumedPassing())
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"Set.Check":   func() { _ = s.Check(t.Context()) },
		"Set.Status":  func() { s.Status() },
		"Set.Alive":   func() { s.Alive() },
		"Group.Check": func() { _ = g.Check(t.Context()) },
		"Beat.Beat":   b.Beat,
		"Beat.Pause":  func() { b.Pause(); b.Beat() },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

func BenchmarkBeat(b *testing.B) {
	s := ready(b, 1)
	beat, err := s.Watch("loop", time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		beat.Beat()
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := ready(b, n)
			b.ReportAllocs()
			for b.Loop() {
				_ = s.Check(b.Context())
			}
		})
	}
}

func BenchmarkReadyz(b *testing.B) {
	s := ready(b, 10)
	h := s.Readyz()
	b.ReportAllocs()
	for b.Loop() {
		get(b, h, "/readyz")
	}
}
