// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/health"
)

// TestDamping plays runs (+ passes, - fails) and says what counts after each.
func TestDamping(t *testing.T) {
	for _, tc := range []struct {
		name      string
		runs      string
		counts    string
		fail, pas int
	}{
		{"the first counts at once", "+", "+", 2, 2},
		{"also if it fails", "-", "-", 2, 2},
		{"and so does the first that passes", "--+", "--+", 2, 2},
		{"one failure is none", "+-+-+-+", "+++++++", 2, 2},
		{"two are one, and two passes its end", "+--+-++", "++----+", 2, 2},
		{"it takes twice as many each time", "++--++--++++--++++++++", "+++--++----++--------+", 2, 2},
		{"without damping", "+-+--++", "+-+---+", 1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got strings.Builder
				s := exact(t, health.WithDamping(tc.fail, tc.pas), health.WithObserver(health.Observer{Ran: func(r health.Result) {
					got.WriteByte("-+"[map[bool]int{true: 1}[r.Passing]])
				}}))
				d := newDependency(nil)
				d.play(func(n int) error {
					if n > len(tc.runs) || tc.runs[n-1] == '+' {
						return nil
					}
					return errDown
				})
				add(t, s, "db", d.check)
				s.Start()
				time.Sleep(time.Minute * 3)
				s.Close()
				if got := got.String()[:len(tc.runs)]; got != tc.counts {
					t.Errorf("runs %s\ncount %s\nwant  %s", tc.runs, got, tc.counts)
				}
			})
		})
	}
}

// TestDampingSchedule: a run that disagrees with what counts is repeated soon.
func TestDampingSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		began := time.Now()
		s := exact(t, health.WithObserver(health.Observer{
			Changed: func(c health.Change) {
				told = append(told, fmt.Sprintf("%v %v→%v %v→%v after %v", time.Since(began), c.From, c.To, c.WasPassing, c.Passing, c.Lasted))
			},
			StatusChanged: func(c health.StatusChange) {
				told = append(told, fmt.Sprintf("%v %v→%v (%v)", time.Since(began), c.From, c.To, c.Err))
			},
		}))
		d := newDependency(nil)
		add(t, s, "db", d.check)
		s.Start()
		time.Sleep(7 * sec)
		d.set(errDown)
		time.Sleep(10 * sec)
		d.set(nil)
		time.Sleep(10 * sec)
		s.Stop()
		want := []string{
			"0s pending→ok false→true after 0s",
			"0s starting→ready (<nil>)",
			"10s ok→error true→true after 10s",
			"11s error→error true→false after 1s",
			"11s ready→failing (health: failing: db: error, 2 in a row (connection refused by 10.0.0.7))",
			"21s error→ok false→false after 11s",
			"22s ok→ok false→true after 1s",
			"22s failing→ready (<nil>)",
			"27s ready→draining (health: draining)",
		}
		if got := strings.Join(told, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("told\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	})
}

// TestFlapping: what goes up and down all the time ends as failing, and a long time of
// passing is forgiveness.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDependency(nil)
		began := time.Now()
		d.play(func(int) error {
			if at := time.Since(began); at < 10*time.Minute && int(at/(20*sec))%2 == 1 {
				return errDown
			}
			return nil
		})
		falls := 0
		s := exact(t, health.WithObserver(health.Observer{StatusChanged: func(c health.StatusChange) {
			if c.To == health.StatusFailing {
				falls++
			}
		}}))
		add(t, s, "db", d.check)
		s.Start()
		time.Sleep(10 * time.Minute)
		if falls != 5 { // a sixth would take 32 passes before it, which an up of 20s has no time for
			t.Errorf("readiness fell %d times with 15 outages of 20s, want 5", falls)
		}
		if err := s.Check(t.Context()); err == nil {
			t.Error("ready in the midst of it")
		}
		time.Sleep(time.Minute)
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("a minute after it: %v", err)
		}
		time.Sleep(100 * sec) // twenty intervals of peace
		d.play(func(n int) error { return map[bool]error{true: errDown}[n%100 < 2] })
		for s.Check(t.Context()) == nil {
			time.Sleep(ms)
		}
		down := time.Now()
		for s.Check(t.Context()) != nil {
			time.Sleep(ms)
		}
		if got := time.Since(down).Round(10 * ms); got != 6*sec {
			t.Errorf("failing for %v after a fall that is the first again, want 6s: a run after 5s, and another after 1s", got)
		}
	})
}
