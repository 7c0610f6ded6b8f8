// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/load"
)

// interval is how often progress is looked at, and shown on a terminal; elsewhere
// it is shown the first and every fileTicks-th time.
const (
	interval  = time.Second
	fileTicks = 5
)

// Progress shows on out how a run goes, a line each second on a terminal and
// every five seconds elsewhere, until ctx ends; then it shows the last one. Each second
// the snapshot is handed to also, which may be nil, and what that returns is shown first.
func Progress(ctx context.Context, out io.Writer, snapshot func() load.Snapshot, also func(load.Snapshot) []string) {
	every := fileTicks
	if isTerminal(out) {
		every = 1
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s := snapshot()
			show(out, also, s, true)
			return
		}
		s := snapshot()
		show(out, also, s, n == 1 || n%every == 0)
	}
}

// show shows what is new and, if it is its turn, a snapshot; that nobody may be
// there to see it is no reason to stop.
func show(out io.Writer, also func(load.Snapshot) []string, s load.Snapshot, turn bool) {
	if also != nil {
		for _, line := range also(s) {
			_, _ = fmt.Fprintln(out, line)
		}
	}
	if turn {
		_, _ = fmt.Fprintln(out, Summary(s))
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Summary returns a run in one line.
func Summary(s load.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%6s  %d requests, %d under way  %.0f/s  p50 %s  p99 %s ",
		s.Elapsed.Round(time.Second), s.Done, s.Started-s.Done, s.Rate(), round(s.P50), round(s.P99))
	for _, o := range byCount(s.Outcomes) {
		fmt.Fprintf(&b, " %s %d", o, s.Outcomes[o])
	}
	if s.Unexpected > 0 {
		fmt.Fprintf(&b, "  UNEXPECTED %d (%s: %s)", s.Unexpected, s.LastUnexpected.Scenario, s.LastUnexpected.Outcome)
	}
	return b.String()
}

// round returns d with three digits or so.
func round(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100)
		}
	}
	return d
}
