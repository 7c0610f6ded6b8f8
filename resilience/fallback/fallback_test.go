// SPDX-License-Identifier: Apache-2.0

package fallback_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/fallback"
)

var (
	errDown    = errors.New("down")
	errMissing = errors.New("missing")
)

func newFallback(t testing.TB, opts ...fallback.Option) *fallback.Fallback[string] {
	t.Helper()
	f, err := fallback.New("menu", fallback.Value("soup"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOutcomes(t *testing.T) {
	for o := resilience.OutcomeOK; o <= resilience.OutcomeRejected; o++ {
		t.Run(o.String(), func(t *testing.T) {
			byDefault := o != resilience.OutcomeOK && o != resilience.OutcomeClientFault &&
				o != resilience.OutcomeCanceled && o != resilience.OutcomeCallerDeadline
			byError := o != resilience.OutcomeCanceled
			for _, tc := range []struct {
				f    *fallback.Fallback[string]
				want bool
			}{
				{newFallback(t), byDefault},
				{newFallback(t, fallback.WithOutcomes(resilience.OutcomeCallerDeadline)), o == resilience.OutcomeCallerDeadline},
				{newFallback(t, fallback.WithOutcomes(), fallback.WithErrors(errDown)), byError},
				{newFallback(t, fallback.WithOutcomes(), fallback.WithErrors(errMissing)), false},
			} {
				reply, degraded, err := tc.f.Apply(t.Context(), o, errDown)
				if degraded != tc.want {
					t.Fatalf("degraded %v, want %v", degraded, tc.want)
				}
				if degraded && (reply != "soup" || err != nil) || !degraded && (reply != "" || !errors.Is(err, errDown)) {
					t.Errorf("got %q, %v", reply, err)
				}
			}
		})
	}
}

func TestDo(t *testing.T) {
	var told []string
	f := newFallback(t, fallback.WithObserver(resilience.Observer{
		FellBack: func(_ context.Context, e resilience.Fallback) { told = append(told, e.Name+": "+e.Err.Error()) },
	}))
	call := func(reply string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return reply, err }
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	open := &resilience.RejectedError{Policy: resilience.PolicyBreaker, Name: "menu", Reason: "open"}
	for _, tc := range []struct {
		name     string
		ctx      context.Context
		call     func(context.Context) (string, error)
		reply    string
		degraded bool
		err      error
	}{
		{"success", t.Context(), call("steak", nil), "steak", false, nil},
		{"failure", t.Context(), call("half a", errDown), "soup", true, nil},
		{"refusal", t.Context(), call("", open), "soup", true, nil},
		{"our timeout", t.Context(), call("", ctxutil.ErrTimeout), "soup", true, nil},
		{"canceled", t.Context(), call("half a", context.Canceled), "half a", false, context.Canceled},
		{"refusal of a canceled call", canceled, call("", open), "", false, open},
		{"caller's deadline", late, call("", errDown), "", false, errDown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reply, degraded, err := f.Do(tc.ctx, tc.call)
			if reply != tc.reply || degraded != tc.degraded || !errors.Is(err, tc.err) {
				t.Errorf("got %q, %v, %v; want %q, %v, %v", reply, degraded, err, tc.reply, tc.degraded, tc.err)
			}
		})
	}
	want := []string{"menu: down", `menu: breaker "menu": open`, "menu: ctxutil: own timeout exceeded"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestFallbackThatFails(t *testing.T) {
	told := false
	f, err := fallback.New("menu", func(_ context.Context, err error) (string, error) {
		if !errors.Is(err, errDown) {
			t.Errorf("given %v, want the call's error", err)
		}
		return "half a", errMissing
	}, fallback.WithObserver(resilience.Observer{FellBack: func(context.Context, resilience.Fallback) { told = true }}))
	if err != nil {
		t.Fatal(err)
	}
	reply, degraded, err := f.Do(t.Context(), func(context.Context) (string, error) { return "", errDown })
	if reply != "" || degraded || told {
		t.Errorf("got %q, degraded %v, told %v", reply, degraded, told)
	}
	if !errors.Is(err, errDown) || !errors.Is(err, errMissing) || err.Error() != `down; fallback "menu": missing` {
		t.Errorf("got %v", err)
	}
}

func TestClassifier(t *testing.T) {
	f := newFallback(t, fallback.WithClassifier(func(context.Context, error) resilience.Outcome { return resilience.OutcomeClientFault }))
	if _, degraded, err := f.Do(t.Context(), func(context.Context) (string, error) { return "", errDown }); degraded || !errors.Is(err, errDown) {
		t.Errorf("got %v, %v", degraded, err)
	}
}

func TestBadValues(t *testing.T) {
	for _, tc := range []struct {
		name string
		opt  fallback.Option
		want string
	}{
		{"", fallback.Options(), `name "": must not be empty`},
		{"a", fallback.WithOutcomes(resilience.OutcomeCanceled), "outcomes canceled: must be failures that somebody waits for, not ok or canceled"},
		{"a", fallback.WithOutcomes(resilience.OutcomeOK), "outcomes ok: must be failures that somebody waits for, not ok or canceled"},
		{"a", fallback.WithOutcomes(200), "outcomes invalid: must be failures that somebody waits for, not ok or canceled"},
		{"a", fallback.WithOutcomes(), "outcomes []: must have one, or there must be errors to stand in for"},
		{"a", fallback.WithErrors(errDown, nil), "errors [1] nil: must not be nil"},
		{"a", fallback.WithClassifier(nil), "classifier nil: must not be nil"},
	} {
		if _, err := fallback.New(tc.name, fallback.Value(1), tc.opt); err == nil || err.Error() != "fallback: "+tc.want {
			t.Errorf("got %v, want fallback: %s", err, tc.want)
		}
	}
	if _, err := fallback.New[int]("a", nil); err == nil || err.Error() != "fallback: function nil: must not be nil" {
		t.Errorf("got %v, want an error about the function", err)
	}
}

func TestNoAllocationsOnSuccess(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f := newFallback(t)
	ctx := t.Context()
	got := testing.AllocsPerRun(100, func() {
		_, _, _ = f.Do(ctx, func(context.Context) (string, error) { return "steak", nil })
	})
	if got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

// Read it as a ratio to gobreaker/Execute.
func BenchmarkFallback(b *testing.B) {
	ctx := b.Context()
	f := newFallback(b)
	cb := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Interval: 10 * time.Second, BucketPeriod: time.Second})
	for _, bm := range []struct {
		name string
		f    func()
	}{
		{"gobreaker/Execute", func() { _, _ = cb.Execute(func() (struct{}, error) { return struct{}{}, nil }) }},
		{"success", func() { _, _, _ = f.Do(ctx, func(context.Context) (string, error) { return "steak", nil }) }},
		{"degraded", func() { _, _, _ = f.Do(ctx, func(context.Context) (string, error) { return "", errDown }) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bm.f()
			}
		})
	}
}
