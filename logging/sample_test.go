// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/logging"
)

func newSampler(t testing.TB, interval time.Duration, first, thereafter int) *logging.Sampler {
	t.Helper()
	s, err := logging.NewSampler(interval, first, thereafter)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sampled returns a logger with the sampler, and what it has written since the
// last look, without what is in all of it.
func sampled(s *logging.Sampler) (*slog.Logger, func() []string) {
	var buf bytes.Buffer
	look := func() []string {
		lines := strings.Split(strings.ReplaceAll(buf.String(), " msg=m", ""), "\n")
		buf.Reset()
		return append([]string(nil), lines[:len(lines)-1]...)
	}
	inner := slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: noTime, Level: slog.LevelDebug})
	return slog.New(logging.NewHandler(inner, logging.WithSampler(s))), look
}

func TestSampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler(t, time.Minute, 2, 3)
		log, look := sampled(s)
		expect := func(step string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, look()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		for i := range 9 {
			log.Info("m", "i", i)
		}
		// 0 and 1 are the first two; of the rest, one in three.
		expect("first interval", "level=INFO i=0", "level=INFO i=1", "level=INFO i=4 dropped_repeats=2", "level=INFO i=7 dropped_repeats=2")

		log.Info("other", "i", 9)
		log.Warn("m", "i", 10)
		expect("other messages and levels are other keys", "level=INFO msg=other i=9", "level=WARN i=10")

		time.Sleep(time.Minute - time.Nanosecond)
		log.Info("m", "i", 11)
		expect("still the first interval")
		time.Sleep(time.Nanosecond)
		log.Info("m", "i", 12)
		log.Info("m", "i", 13)
		log.Info("m", "i", 14)
		expect("the next one begins when the first has ended", "level=INFO i=12 dropped_repeats=2", "level=INFO i=13")

		time.Sleep(10*time.Minute + 30*time.Second)
		log.Info("m", "i", 15)
		time.Sleep(30 * time.Second)
		log.Info("m", "i", 16)
		log.Info("m", "i", 17)
		time.Sleep(30 * time.Second)
		log.WithGroup("g").Info("m", "i", 18)
		expect("it begins with a record, the count is at the root", "level=INFO i=15 dropped_repeats=1", "level=INFO i=16", "level=INFO g.i=18 dropped_repeats=1")

		want := logging.SamplerStats{Passed: 11, Dropped: 8, Unreported: 0}
		if got := s.Stats(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestSamplingDropsAllTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler(t, time.Second, 1, 0)
		log, look := sampled(s)
		for range 1000 {
			log.Info("m")
		}
		if got := s.Stats(); got != (logging.SamplerStats{Passed: 1, Dropped: 999, Unreported: 999}) {
			t.Errorf("got %+v", got)
		}
		time.Sleep(time.Second)
		log.Info("m")
		if diff := cmp.Diff([]string{"level=INFO", "level=INFO dropped_repeats=999"}, look()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestNeverSampled is what always passes, and is not counted.
func TestNeverSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler(t, time.Hour, 1, 0)
		log, look := sampled(s)
		request := newRequest(t)
		request.SetLevel(slog.LevelDebug)
		for range 100 {
			log.Error("m")
			log.Log(t.Context(), slog.LevelError+4, "m")
			log.DebugContext(request, "m")
			log.InfoContext(request, "m")
		}
		if got := len(look()); got != 400 {
			t.Errorf("%d records passed, want 400", got)
		}
		if got := s.Stats(); got != (logging.SamplerStats{}) {
			t.Errorf("got %+v, want nothing", got)
		}
	})
}

// TestSamplingComplete is a record of the request log that has something to say about others.
func TestSamplingComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, look := sampled(newSampler(t, time.Hour, 1, 2))
		s := newRequest(t)
		for i := range 3 {
			log.LogAttrs(s, slog.LevelInfo, "m", slog.String("trace_id", testTrace), slog.String("span_id", testSpan), slog.Int("i", i))
		}
		const ids = "level=INFO trace_id=" + testTrace + " span_id=" + testSpan
		if diff := cmp.Diff([]string{ids + " i=0", ids + " i=2 dropped_repeats=1"}, look()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestSamplerIsBounded floods the sampler with messages that are all
// different: none of them is a repeat, so none is dropped, and the memory
// stays what it was.
func TestSamplerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler(t, time.Minute, 1, 0)
		log := slog.New(logging.NewHandler(discard{}, logging.WithSampler(s)))
		const n = 20_000
		for i := range n {
			log.Info(fmt.Sprint("message ", i))
		}
		got := s.Stats()
		if got.Passed != n || got.Dropped != 0 {
			t.Errorf("got %+v, want %d passed", got, n)
		}
		if least := uint64(n - 4096); got.Untracked < least || got.Untracked > least+1000 {
			t.Errorf("%d untracked, want a little over %d", got.Untracked, least)
		}
		// After the interval the places are free again.
		time.Sleep(time.Minute)
		for range 10 {
			log.Info("new")
		}
		if now := s.Stats(); now.Untracked != got.Untracked || now.Dropped != 9 {
			t.Errorf("got %+v, want 9 dropped and none more untracked", now)
		}
	})
}

// TestSamplerReports is for messages whose interval is over: what was dropped
// is kept to be told as long as there is room.
func TestSamplerReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler(t, time.Minute, 1, 0)
		log := slog.New(logging.NewHandler(discard{}, logging.WithSampler(s)))
		const n = 500
		all := func(kind string) {
			for i := range n {
				log.Info(fmt.Sprint(kind, i))
			}
		}
		all("old")
		all("old")
		time.Sleep(time.Minute)
		all("new")
		all("old")
		if got := s.Stats(); got.Dropped < n*9/10 || got.Unreported > n/10 {
			t.Errorf("got %+v, want about %d dropped and next to none unreported", got, n)
		}
	})
}

func TestSamplerConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampler(t, time.Hour, 100, 10)
		h := &counting{}
		log := slog.New(logging.NewHandler(h, logging.WithSampler(s)))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range 1000 {
					log.Info("m")
				}
			})
		}
		wg.Wait()
		const passed = 100 + 9900/10
		if h.n != passed || h.dropped != 10_000-passed {
			t.Errorf("%d passed and told about %d, want %d and %d", h.n, h.dropped, passed, 10_000-passed)
		}
		if got := s.Stats(); got != (logging.SamplerStats{Passed: passed, Dropped: 10_000 - passed}) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestSamplerErrors(t *testing.T) {
	for _, tc := range []struct {
		interval          time.Duration
		first, thereafter int
		want              string
	}{
		{0, 1, 1, "logging: NewSampler: interval is 0s, want more than 0"},
		{time.Second, 0, 1, "logging: NewSampler: first is 0, want more than 0"},
		{time.Second, 1, -1, "logging: NewSampler: thereafter is -1, want 0 or more"},
	} {
		s, err := logging.NewSampler(tc.interval, tc.first, tc.thereafter)
		if s != nil || err == nil || err.Error() != tc.want {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
	var none *logging.Sampler
	if got := none.Stats(); got != (logging.SamplerStats{}) {
		t.Errorf("nil sampler: got %+v", got)
	}
}

// counting counts what reaches it.
type counting struct {
	discard
	mu         sync.Mutex
	n, dropped uint64
}

func (h *counting) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == logging.DroppedRepeatsKey {
			h.dropped += a.Value.Uint64()
		}
		return true
	})
	return nil
}

// discard is enabled and does nothing.
type discard struct{}

func (discard) Enabled(context.Context, slog.Level) bool  { return true }
func (discard) Handle(context.Context, slog.Record) error { return nil }
func (h discard) WithAttrs([]slog.Attr) slog.Handler      { return h }
func (h discard) WithGroup(string) slog.Handler           { return h }
