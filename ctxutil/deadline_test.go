// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/fairlead-go/fairlead/ctxutil"
)

func mustBudget(t testing.TB, opts ...ctxutil.BudgetOption) ctxutil.Budget {
	t.Helper()
	b, err := ctxutil.NewBudget(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNewBudgetRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		opts []ctxutil.BudgetOption
		want string
	}{
		{"negative reserve", []ctxutil.BudgetOption{ctxutil.WithReserve(-1)}, "WithReserve: -1ns is negative"},
		{"negative cap", []ctxutil.BudgetOption{ctxutil.WithMaxTimeout(-time.Second)}, "WithMaxTimeout: -1s is negative"},
		{"negative default", []ctxutil.BudgetOption{ctxutil.WithDefaultTimeout(-time.Second)}, "WithDefaultTimeout: -1s is negative"},
		{"default past the cap", []ctxutil.BudgetOption{ctxutil.WithDefaultTimeout(2 * time.Second), ctxutil.WithMaxTimeout(time.Second)}, "default timeout 2s exceeds max timeout 1s"},
	} {
		b, err := ctxutil.NewBudget(tc.opts...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "ctxutil: NewBudget: ") {
			t.Errorf("%s: err = %v, want one with %q", tc.name, err, tc.want)
		}
		if b != (ctxutil.Budget{}) {
			t.Errorf("%s: a budget in spite of the error", tc.name)
		}
	}
	if b := mustBudget(t); b != (ctxutil.Budget{}) {
		t.Error("NewBudget without options is not the zero Budget")
	}
}

func TestRemaining(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if d, ok := ctxutil.Remaining(context.Background()); ok || d != 0 {
			t.Errorf("without deadline: %v, %v", d, ok)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(300 * time.Millisecond)
		if d, ok := ctxutil.Remaining(ctx); !ok || d != 700*time.Millisecond {
			t.Errorf("after 300ms of 1s: %v, %v", d, ok)
		}
		time.Sleep(time.Hour)
		if d, ok := ctxutil.Remaining(ctx); !ok || d != 0 {
			t.Errorf("long after: %v, %v; want 0, true", d, ok)
		}
	})
}

// REQ-C5: what a call gets, and who is blamed when it runs out.
func TestWithBudget(t *testing.T) {
	t.Parallel()
	const none = time.Duration(0)
	for _, tc := range []struct {
		name   string
		caller time.Duration // the caller's timeout; none: no deadline
		opts   []ctxutil.BudgetOption
		want   time.Duration // none: no deadline
		by     ctxutil.End
	}{
		{"no deadline, no limits", none, nil, none, ctxutil.EndNone},
		{"a tenth is reserved", 50 * time.Millisecond, nil, 45 * time.Millisecond, ctxutil.EndCallerDeadline},
		{"but not more than 10ms", time.Second, nil, 990 * time.Millisecond, ctxutil.EndCallerDeadline},
		{"own reserve", time.Second, []ctxutil.BudgetOption{ctxutil.WithReserve(250 * time.Millisecond)}, 750 * time.Millisecond, ctxutil.EndCallerDeadline},
		{"no reserve", time.Second, []ctxutil.BudgetOption{ctxutil.WithReserve(0)}, time.Second, ctxutil.EndCallerDeadline},
		{"cap below the caller's", time.Second, []ctxutil.BudgetOption{ctxutil.WithMaxTimeout(300 * time.Millisecond)}, 300 * time.Millisecond, ctxutil.EndTimeout},
		{"cap above the caller's", time.Second, []ctxutil.BudgetOption{ctxutil.WithMaxTimeout(time.Minute)}, 990 * time.Millisecond, ctxutil.EndCallerDeadline},
		{"cap equal to what is usable", time.Second, []ctxutil.BudgetOption{ctxutil.WithMaxTimeout(990 * time.Millisecond)}, 990 * time.Millisecond, ctxutil.EndCallerDeadline},
		{"default", none, []ctxutil.BudgetOption{ctxutil.WithDefaultTimeout(5 * time.Second)}, 5 * time.Second, ctxutil.EndTimeout},
		{"default below the cap", none, []ctxutil.BudgetOption{ctxutil.WithDefaultTimeout(5 * time.Second), ctxutil.WithMaxTimeout(time.Minute)}, 5 * time.Second, ctxutil.EndTimeout},
		{"the cap serves as default", none, []ctxutil.BudgetOption{ctxutil.WithMaxTimeout(time.Minute)}, time.Minute, ctxutil.EndTimeout},
		{"the default does not extend a deadline", time.Second, []ctxutil.BudgetOption{ctxutil.WithDefaultTimeout(time.Hour), ctxutil.WithReserve(0)}, time.Second, ctxutil.EndCallerDeadline},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				parent := context.Background()
				if tc.caller != none {
					var cancel context.CancelFunc
					parent, cancel = context.WithTimeout(parent, tc.caller)
					defer cancel()
				}
				start := time.Now()
				ctx, cancel, err := ctxutil.WithBudget(parent, mustBudget(t, tc.opts...))
				if err != nil {
					t.Fatal(err)
				}
				defer cancel()
				if tc.want == none {
					if d, ok := ctx.Deadline(); ok {
						t.Errorf("a deadline out of nowhere: %v", d)
					}
					return
				}
				<-ctx.Done()
				if got := time.Since(start); got != tc.want {
					t.Errorf("ended after %v, want %v", got, tc.want)
				}
				if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
					t.Errorf("err = %v", ctx.Err())
				}
				if got := ctxutil.EndedBy(ctx); got != tc.by {
					t.Errorf("ended by %v, want %v", got, tc.by)
				}
			})
		})
	}
}

func TestWithBudgetRefusesWhatIsSpent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name          string
		timeout, wait time.Duration
		opts          []ctxutil.BudgetOption
		left, reserve time.Duration
	}{
		{"deadline passed", time.Second, 2 * time.Second, nil, 0, 0},
		{"just now", time.Second, time.Second, []ctxutil.BudgetOption{ctxutil.WithReserve(0)}, 0, 0},
		{"only the reserve is left", time.Second, 900 * time.Millisecond, []ctxutil.BudgetOption{ctxutil.WithReserve(100 * time.Millisecond)}, 100 * time.Millisecond, 100 * time.Millisecond},
		{"less than the reserve", time.Second, 950 * time.Millisecond, []ctxutil.BudgetOption{ctxutil.WithReserve(100 * time.Millisecond)}, 50 * time.Millisecond, 100 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				parent, stop := context.WithTimeout(t.Context(), tc.timeout)
				defer stop()
				time.Sleep(tc.wait)
				ctx, cancel, err := ctxutil.WithBudget(parent, mustBudget(t, tc.opts...))
				cancel()
				if ctx != parent {
					t.Error("not the caller's context")
				}
				var budget *ctxutil.BudgetError
				if !errors.As(err, &budget) {
					t.Fatalf("err = %v, want a *BudgetError", err)
				}
				if budget.Left != tc.left || budget.Reserve != tc.reserve {
					t.Errorf("left %v, reserve %v; want %v, %v", budget.Left, budget.Reserve, tc.left, tc.reserve)
				}
				if !errors.Is(err, ctxutil.ErrBudgetExhausted) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
					t.Errorf("%v does not match what it should", err)
				}
				if wrapped := (&url.Error{Op: "Get", URL: "http://x/", Err: err}); !wrapped.Timeout() {
					t.Error("not a timeout for net/http")
				}
			})
		})
	}
}

// One nanosecond more than the reserve is enough to be sent.
func TestWithBudgetAtTheEdge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		parent, stop := context.WithTimeout(t.Context(), 100*time.Millisecond+1)
		defer stop()
		ctx, cancel, err := ctxutil.WithBudget(parent, mustBudget(t, ctxutil.WithReserve(100*time.Millisecond)))
		if err != nil {
			t.Fatal(err)
		}
		defer cancel()
		if d, _ := ctxutil.Remaining(ctx); d != 1 {
			t.Errorf("%v left, want 1ns", d)
		}
	})
}

// A budget shrinks at each hop, and the blame stays where it belongs: a limit of
// ours is not the caller's because another budget took its reserve from it.
func TestBudgetKeepsTheBlame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		caller, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		server, cancelServer, err := ctxutil.WithBudget(caller, mustBudget(t, ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(time.Second)))
		if err != nil {
			t.Fatal(err)
		}
		defer cancelServer()
		first, cancelFirst, err := ctxutil.WithBudget(server, ctxutil.Budget{})
		if err != nil {
			t.Fatal(err)
		}
		defer cancelFirst()
		second, cancelSecond, err := ctxutil.WithBudget(first, ctxutil.Budget{})
		if err != nil {
			t.Fatal(err)
		}
		defer cancelSecond()
		short, cancelShort := context.WithTimeout(first, 500*time.Millisecond)
		defer cancelShort()
		third, cancelThird, err := ctxutil.WithBudget(short, ctxutil.Budget{})
		if err != nil {
			t.Fatal(err)
		}
		defer cancelThird()

		for _, tc := range []struct {
			name string
			ctx  context.Context
			left time.Duration
			by   ctxutil.End
		}{
			{"third, under a deadline of the code in between", third, 490 * time.Millisecond, ctxutil.EndCallerDeadline},
			{"second", second, 980 * time.Millisecond, ctxutil.EndTimeout},
			{"first", first, 990 * time.Millisecond, ctxutil.EndTimeout},
			{"server", server, time.Second, ctxutil.EndTimeout},
		} {
			<-tc.ctx.Done()
			if got := time.Minute - mustRemaining(t, caller); got != tc.left {
				t.Errorf("%s: ended after %v, want %v", tc.name, got, tc.left)
			}
			if got := ctxutil.EndedBy(tc.ctx); got != tc.by {
				t.Errorf("%s: ended by %v, want %v", tc.name, got, tc.by)
			}
		}
		if got := ctxutil.EndedBy(caller); got != ctxutil.EndNone {
			t.Errorf("caller: ended by %v, want none", got)
		}
	})
}

func mustRemaining(t *testing.T, ctx context.Context) time.Duration {
	t.Helper()
	d, ok := ctxutil.Remaining(ctx)
	if !ok {
		t.Fatal("no deadline")
	}
	return d
}

// REQ-C5: cancellation goes through a budget, with its cause.
func TestBudgetPassesCancellation(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancelCause(t.Context())
	ctx, stop, err := ctxutil.WithBudget(parent, mustBudget(t, ctxutil.WithMaxTimeout(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	cancel(ctxutil.ErrShutdown)
	<-ctx.Done()
	if got := ctxutil.EndedBy(ctx); got != ctxutil.EndShutdown {
		t.Errorf("ended by %v, want %v", got, ctxutil.EndShutdown)
	}
}

func TestUnchangedBudgetCostsNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	bounded, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	noReserve := mustBudget(t, ctxutil.WithReserve(0), ctxutil.WithMaxTimeout(2*time.Hour))
	n := testing.AllocsPerRun(100, func() {
		for _, tc := range []struct {
			ctx context.Context
			b   ctxutil.Budget
		}{{context.Background(), ctxutil.Budget{}}, {bounded, noReserve}} {
			ctx, cancel, err := ctxutil.WithBudget(tc.ctx, tc.b)
			if ctx != tc.ctx || err != nil {
				t.Errorf("not the same context, or %v", err)
			}
			cancel()
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestFormatTimeoutMillis(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second:                   "0",
		0:                              "0",
		1:                              "1",
		999 * time.Microsecond:         "1",
		time.Millisecond:               "1",
		1999 * time.Microsecond:        "1",
		1500 * time.Millisecond:        "1500",
		99_999_999 * time.Millisecond:  "99999999",
		100_000_000 * time.Millisecond: "99999999",
		time.Duration(math.MaxInt64):   "99999999",
		time.Duration(math.MinInt64):   "0",
		24 * time.Hour:                 "86400000",
	} {
		if got := ctxutil.FormatTimeoutMillis(d); got != want {
			t.Errorf("FormatTimeoutMillis(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestParseTimeouts(t *testing.T) {
	t.Parallel()
	const bad = time.Duration(-1)
	for in, want := range map[string]time.Duration{
		"0": 0, "1": time.Millisecond, "0001": time.Millisecond, "1500": 1500 * time.Millisecond, "99999999": 99_999_999 * time.Millisecond,
		"": bad, "100000000": bad, "-1": bad, "+1": bad, " 1": bad, "1 ": bad, "1.5": bad, "1e3": bad, "0x1": bad, "1_0": bad, "١": bad, "1\r\n": bad, "100m": bad,
	} {
		got, ok := ctxutil.ParseTimeoutMillis(in)
		if ok != (want != bad) || ok && got != want || !ok && got != 0 {
			t.Errorf("ParseTimeoutMillis(%q) = %v, %v; want %v", in, got, ok, want)
		}
	}
	for in, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "100m": 100 * time.Millisecond, "5u": 5 * time.Microsecond, "7n": 7,
		"0S": 0, "00000001S": time.Second, "99999999M": 99_999_999 * time.Minute,
		"99999999H": math.MaxInt64, "2562047H": 2562047 * time.Hour, "2562048H": math.MaxInt64,
		"": bad, "H": bad, "1": bad, "1s": bad, "1h": bad, "100000000n": bad, "-1S": bad, "+1S": bad, "1 S": bad, "1.5S": bad, "1SS": bad, "\x00S": bad, "99999999999999999999H": bad,
	} {
		got, ok := ctxutil.ParseGRPCTimeout(in)
		if ok != (want != bad) || ok && got != want || !ok && got != 0 {
			t.Errorf("ParseGRPCTimeout(%q) = %v, %v; want %v", in, got, ok, want)
		}
	}
}

func TestTimeoutFrom(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		http, grpc string
		want       time.Duration
		ok         bool
	}{
		{"neither", "", "", 0, false},
		{"ours", "1500", "", 1500 * time.Millisecond, true},
		{"gRPC's", "", "2S", 2 * time.Second, true},
		{"both, ours is shorter", "1500", "2S", 1500 * time.Millisecond, true},
		{"both, gRPC's is shorter", "3000", "2S", 2 * time.Second, true},
		{"ours is spent", "0", "2S", 0, true},
		{"ours is not valid", "soon", "2S", 2 * time.Second, true},
		{"gRPC's is not valid", "1500", "2 S", 1500 * time.Millisecond, true},
		{"neither is valid", "soon", "later", 0, false},
	} {
		h, md := http.Header{}, metadata.MD{}
		for _, c := range []ctxutil.Carrier{ctxutil.HTTPCarrier(h), ctxutil.MetadataCarrier(md)} {
			if tc.http != "" {
				c.Set("x-request-timeout-ms", tc.http)
			}
			if tc.grpc != "" {
				c.Set("grpc-timeout", tc.grpc)
			}
			if got, ok := ctxutil.TimeoutFrom(c); got != tc.want || ok != tc.ok {
				t.Errorf("%s: TimeoutFrom = %v, %v; want %v, %v", tc.name, got, ok, tc.want, tc.ok)
			}
		}
	}
}

// TestDeadlineIsOwn: known before the deadline passes, and lost when somebody
// shortens it.
func TestDeadlineIsOwn(t *testing.T) {
	caller, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	capped, err := ctxutil.NewBudget(ctxutil.WithMaxTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	ours, cancel, err := ctxutil.WithBudget(caller, capped)
	defer cancel()
	if err != nil {
		t.Fatal(err)
	}
	less, cancel, err := ctxutil.WithBudget(ours, ctxutil.Budget{}) // takes its reserve of it
	defer cancel()
	if err != nil {
		t.Fatal(err)
	}
	reserved, cancel, err := ctxutil.WithBudget(caller, ctxutil.Budget{})
	defer cancel()
	if err != nil {
		t.Fatal(err)
	}
	shortened, cancel := context.WithTimeout(ours, time.Second)
	defer cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		want bool
	}{
		{"no deadline", t.Context(), false},
		{"caller's", caller, false},
		{"caller's less the reserve", reserved, false},
		{"our cap", ours, true},
		{"our cap less the reserve", less, true},
		{"shortened since", shortened, false},
	} {
		if got := ctxutil.DeadlineIsOwn(tc.ctx); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
