// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// losses names the hops on which a request lost something it should have kept.
func losses(saw []sight, way []hop) []string {
	var lost []string
	left := callersTimeout
	for i, s := range saw {
		from := "outside"
		if i > 0 {
			from = saw[i-1].place
			h := way[i-1]
			left -= h.reserve
			if h.own > 0 {
				left = h.own
			}
		}
		lose := func(what string, got, want any) {
			lost = append(lost, fmt.Sprintf("%s → %s loses the %s: it is %v, not %v", from, s.place, what, got, want))
		}
		if s.traceID != callersTrace {
			lose("trace", s.traceID, callersTrace)
		}
		if s.baggage != "ada" {
			lose("baggage", s.baggage, "ada")
		}
		if s.tenant != "acme" {
			lose("tenant", s.tenant, "acme")
		}
		if s.requestID != "req-7" {
			lose("request id", s.requestID, "req-7")
		}
		if s.left != left {
			lose("deadline", s.left, left)
		}
		if len(lost) > 0 {
			return lost // what comes after has lost it too
		}
	}
	if len(saw) != len(way)+1 {
		lost = append(lost, fmt.Sprintf("the request came to %d places of %d", len(saw), len(way)+1))
	}
	return lost
}

// ways are all pairs of hops, and a long one.
func ways() [][]hop {
	var out [][]hop
	for _, a := range hops {
		for _, b := range hops {
			out = append(out, []hop{a, b})
		}
	}
	by := map[string]hop{}
	for _, h := range hops {
		by[h.name] = h
	}
	var long []hop
	for _, name := range []string{
		"HTTP/1.1", "gRPC unary", "HTTP/2", "gRPC stream", "Go", "HTTP/1.1", "queue", "gRPC unary", "Group", "HTTP/2", "Pool", "gRPC stream",
	} {
		long = append(long, by[name])
	}
	return append(out, long)
}

func nameOf(way []hop) string {
	names := make([]string, len(way))
	for i, h := range way {
		names[i] = h.name
	}
	return strings.ReplaceAll(strings.Join(names, " → "), "/", " ")
}

// TestNothingIsLost: over every hop after every other the request keeps its
// trace, its baggage, its tenant, its id and its deadline, and all that is
// recorded of it is one story.
func TestNothingIsLost(t *testing.T) {
	for _, way := range ways() {
		t.Run(nameOf(way), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.enter(t.Context(), func(context.Context) error { return nil }, way...)
				synctest.Wait()
				for _, lost := range losses(w.sights(), way) {
					t.Error(lost)
				}
				w.check()
			})
		})
	}
}

// check holds what was recorded against the rules, and finds one trace in it.
func (w *world) check(opts ...telemetrytest.Option) {
	w.t.Helper()
	run := w.seen.Run(w.t)
	telemetrytest.Check(w.t, run, append(opts, telemetrytest.External(callersSpan))...)
	if n := len(run.Traces().All()); n != 1 {
		w.t.Errorf("%d traces, want 1", n)
	}
}

// TestTheHopIsNamed: the tests above would notice, and say where.
func TestTheHopIsNamed(t *testing.T) {
	careless := hop{name: "careless", build: func(_ *world, next step) step {
		return func(context.Context) error { return next(context.Background()) }
	}}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		way := []hop{hops[0], careless, hops[2]}
		w.enter(t.Context(), func(context.Context) error { return nil }, way...)
		lost := losses(w.sights(), way)
		if len(lost) != 5 {
			t.Errorf("%d losses, want 5: %q", len(lost), lost)
		}
		for _, l := range lost {
			if !strings.HasPrefix(l, "HTTP/1.1 → careless loses the ") {
				t.Errorf("loss: %s", l)
			}
		}
	})
}

// untilDone is a step that works until its request ends.
func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestCancellationGoesAllTheWay: when the caller goes away, everybody who works
// for it learns of it at once, but for those that nobody waits for.
func TestCancellationGoesAllTheWay(t *testing.T) {
	for _, way := range ways() {
		if hasLoose(way) {
			continue
		}
		t.Run(nameOf(way), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				ctx, hangUp := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, hangUp)
				w.enter(ctx, untilDone, way...)
				synctest.Wait()
				for i, s := range w.sights() {
					if s.endedBy != ctxutil.EndCallerCanceled || s.after != time.Second {
						t.Errorf("%s was ended by %v after %v, want the caller after 1s", s.place, s.endedBy, s.after)
					}
					if i == 0 && len(w.sights()) != len(way)+1 {
						t.Errorf("the request came to %d places", len(w.sights()))
					}
				}
				w.check()
			})
		})
	}
}

// TestDeadlineEndsAllTheWay: the place furthest away gives up first, so that
// everybody on the way back still has time to say so.
func TestDeadlineEndsAllTheWay(t *testing.T) {
	for _, way := range ways() {
		if hasLoose(way) {
			continue
		}
		t.Run(nameOf(way), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.enter(t.Context(), untilDone, way...)
				synctest.Wait()
				want := callersTimeout
				for _, h := range way {
					want -= h.reserve
				}
				saw := w.sights()
				last := saw[len(saw)-1]
				// Its own timer and the caller's, who hangs up, ring at the same moment.
				if by := last.endedBy; by != ctxutil.EndCallerDeadline && by != ctxutil.EndCallerCanceled || last.after != want {
					t.Errorf("%s was ended by %v after %v, want the caller's deadline after %v", last.place, by, last.after, want)
				}
				if edge := saw[0]; edge.after != want && want < callersTimeout {
					t.Errorf("the edge knew after %v, want %v", edge.after, want)
				}
				w.check()
			})
		})
	}
}

func hasLoose(way []hop) bool {
	for _, h := range way {
		if h.loose {
			return true
		}
	}
	return false
}

// TestServiceWithoutSDK: a service that has no tracer takes part in the trace by
// its id, and those after it find their way back to it.
func TestServiceWithoutSDK(t *testing.T) {
	for _, first := range []hop{hops[0], hops[2]} {
		for name, blind := range map[string]func(*world, step) step{
			"HTTP": overHTTP(false, withoutSDK()), "gRPC": overGRPC(unary, withoutSDK()),
		} {
			for _, last := range []hop{hops[1], hops[3]} {
				way := []hop{first, {name: name + " without SDK", build: blind, reserve: reserve}, last}
				t.Run(nameOf(way), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						w.enter(t.Context(), func(context.Context) error { return nil }, way...)
						synctest.Wait()
						for _, lost := range losses(w.sights(), way) {
							t.Error(lost)
						}
					})
				})
			}
		}
	}
}
