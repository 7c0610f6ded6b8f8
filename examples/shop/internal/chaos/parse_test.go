// SPDX-License-Identifier: Apache-2.0

package chaos_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
)

func TestParse(t *testing.T) {
	payment := func(f chaos.Fault) chaos.Faults { return chaos.Faults{chaos.Payment: f} }
	for spec, want := range map[string]chaos.Faults{
		"":                          {},
		" , ":                       {},
		"db=down":                   {chaos.DB: {FailRate: 1}},
		"db=slow:20ms":              {chaos.DB: {Slow: chaos.Slow{Delay: 20 * time.Millisecond, Fraction: 1}}},
		"inventory=slow:1s/0.05":    {chaos.Inventory: {Slow: chaos.Slow{Delay: time.Second, Fraction: 0.05}}},
		"payment=fail:0.25":         payment(chaos.Fault{FailRate: 0.25}),
		"payment=lose:1":            payment(chaos.Fault{LoseRate: 1}),
		"payment=flap:2s/3s":        payment(chaos.Fault{Flap: chaos.Flap{Failing: 2 * time.Second, Well: 3 * time.Second}}),
		"payment=overload:12.5":     payment(chaos.Fault{Overload: chaos.Overload{PerSecond: 12.5}}),
		"payment=retry-after:2s":    payment(chaos.Fault{Away: chaos.Away{For: 2 * time.Second, Fraction: 1}}),
		"payment=retry-after:1s/.5": payment(chaos.Fault{Away: chaos.Away{For: time.Second, Fraction: 0.5}}),
		"db=slow:1s, payment=slow:2s,payment=fail:0.7": {
			chaos.DB:      {Slow: chaos.Slow{Delay: time.Second, Fraction: 1}},
			chaos.Payment: {Slow: chaos.Slow{Delay: 2 * time.Second, Fraction: 1}, FailRate: 0.7},
		},
	} {
		got, err := chaos.Parse(spec)
		if err != nil {
			t.Errorf("%q: %v", spec, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", spec, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for spec, want := range map[string]string{
		"disk=down":                       `unknown dependency "disk", must be db, inventory or payment`,
		"db":                              `fault is "", must be one of down, fail, flap, lose, overload, retry-after, slow`,
		"db=DOWN":                         `fault is "DOWN", must be one of`,
		"db=down:1":                       `down has no argument, and is followed by "1"`,
		"db=slow":                         `duration is "", must be positive, such as 200ms`,
		"db=slow:-1s":                     `duration is "-1s"`,
		"db=slow:1s/0":                    `fraction is "0", must be above 0 and at most 1`,
		"db=slow:1s/":                     `fraction is ""`,
		"db=slow:1s,db=slow:2s":           `chaos: "db=slow:2s": this dependency has such a fault already`,
		"payment=fail:2":                  `fraction is "2", must be above 0 and at most 1`,
		"payment=fail:NaN":                `fraction is "NaN"`,
		"payment=down,payment=fail:0.1":   "such a fault already",
		"payment=flap:2s":                 `duration is ""`,
		"payment=flap:2s/0s":              `duration is "0s"`,
		"payment=flap:1s/1s/1s":           `duration is "1s/1s"`,
		"payment=overload":                `capacity is "", must be calls per second, above 0 and at most 100000`,
		"payment=overload:-1":             `capacity is "-1"`,
		"payment=overload:Inf":            `capacity is "Inf"`,
		"payment=retry-after:soon":        `duration is "soon"`,
		"payment=retry-after:1s/1.1":      `fraction is "1.1"`,
		"payment=lose:0":                  `fraction is "0"`,
		"db=lose:0.1":                     `fault is "lose", which only payment can have`,
		"inventory=retry-after:1s":        `fault is "retry-after", which only payment can have`,
		"payment=lose:0.1,payment=lose:1": "such a fault already",
	} {
		if _, err := chaos.Parse(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", spec, err, want)
		}
	}
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
