// SPDX-License-Identifier: Apache-2.0

package chaos_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		spec    string
		want    chaos.Faults
		wantErr string
	}{
		{spec: "", want: chaos.Faults{}},
		{spec: " , ", want: chaos.Faults{}},
		{spec: "db=down", want: chaos.Faults{chaos.DB: {FailRate: 1}}},
		{spec: "db=slow:20ms, payment=fail:0.25", want: chaos.Faults{
			chaos.DB: {Delay: 20 * time.Millisecond}, chaos.Payment: {FailRate: 0.25},
		}},
		{spec: "payment=slow:1s,payment=fail:0.7,payment=fail:0.7", want: chaos.Faults{
			chaos.Payment: {Delay: time.Second, FailRate: 1},
		}},
		{spec: "disk=down", wantErr: `unknown dependency "disk", want one of db, payment`},
		{spec: "db", wantErr: `fault is ""`},
		{spec: "db=slow:-1s", wantErr: `delay is "-1s", must be a positive duration`},
		{spec: "db=slow", wantErr: `delay is ""`},
		{spec: "payment=fail:2", wantErr: `fraction is "2", must be above 0 and at most 1`},
		{spec: "payment=fail:NaN", wantErr: `fraction is "NaN"`},
	} {
		t.Run(tc.spec, func(t *testing.T) {
			got, err := chaos.Parse(tc.spec)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("Parse error = %v, want one with %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStrike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := (chaos.Fault{Delay: time.Second, FailRate: 1}).Strike(t.Context()); !errors.Is(err, chaos.ErrInjected) {
			t.Errorf("Strike = %v, want ErrInjected", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Strike took %v, want 1s", took)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		if err := (chaos.Fault{Delay: time.Hour}).Strike(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Strike = %v, want the context's error", err)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("Strike outlived its context: %v", took)
		}

		if err := (chaos.Fault{}).Strike(t.Context()); err != nil {
			t.Errorf("the zero Fault failed: %v", err)
		}
	})
}

func TestTrip(t *testing.T) {
	chaos.Trip("mug-blue")
	defer func() {
		if recover() == nil {
			t.Error("TripWire did not panic")
		}
	}()
	chaos.Trip(chaos.TripWire)
}
