// SPDX-License-Identifier: Apache-2.0

package grpcbalancer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc/serviceconfig"

	core "github.com/fairlead-go/fairlead/discovery/balancer"
)

// config is a configuration that was parsed.
type config struct {
	serviceconfig.LoadBalancingConfig
	options []core.Option
	subset  *subset
	text    string // by which configurations are compared
}

// document is the configuration as it is written. What is left out has the default of
// package balancer.
type document struct {
	Policy            *string   `json:"policy"`
	Decay             *duration `json:"decay"`
	SlowStart         *duration `json:"slowStart"`
	SlowStartShare    *float64  `json:"slowStartShare"`
	Zone              string    `json:"zone"`
	ZoneOverprovision *float64  `json:"zoneOverprovision"`
	PanicShare        *float64  `json:"panicShare"`
	Subset            *subset   `json:"subset"`
	OutlierEjection   *ejection `json:"outlierEjection"`
}

type subset struct {
	Size   int    `json:"size"`
	Client string `json:"client"`
}

type ejection struct {
	Off                 bool      `json:"off"`
	Interval            *duration `json:"interval"`
	MinCalls            *int      `json:"minCalls"`
	MinEndpoints        *int      `json:"minEndpoints"`
	ConsecutiveFailures *int      `json:"consecutiveFailures"`
	FailureShare        *float64  `json:"failureShare"`
	Deviation           *float64  `json:"deviation"`
	Time                *duration `json:"time"`
	MaxTime             *duration `json:"maxTime"`
	MaxShare            *float64  `json:"maxShare"`
}

// duration is written as "1.5s", which both Go and protobuf's JSON have.
type duration time.Duration

func (d *duration) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf(`duration %s: must be text such as "1.5s"`, text)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf(`duration %q: must be such as "1.5s"`, s)
	}
	*d = duration(v)
	return nil
}

// parseConfig reads a configuration. It takes no field that it does not know, other than
// gRPC recommends: a misspelt limit would be none.
func parseConfig(text []byte) (*config, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var d document
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("grpcbalancer: config: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("grpcbalancer: config: must be one JSON object")
	}
	options, err := d.options()
	if err != nil {
		return nil, fmt.Errorf("grpcbalancer: config: %w", err)
	}
	var canonical bytes.Buffer
	if err := json.Compact(&canonical, text); err != nil {
		return nil, fmt.Errorf("grpcbalancer: config: %w", err)
	}
	return &config{options: options, subset: d.Subset, text: canonical.String()}, nil
}

func (d *document) options() ([]core.Option, error) {
	var opts []core.Option
	var errs []error
	if d.Policy != nil {
		p, err := core.ParsePolicy(*d.Policy)
		errs = append(errs, err)
		opts = append(opts, core.WithPolicy(p))
	}
	if d.Decay != nil {
		opts = append(opts, core.WithDecay(time.Duration(*d.Decay)))
	}
	opts = append(opts,
		core.WithSlowStart(or(d.SlowStart, core.DefaultSlowStart), value(d.SlowStartShare, core.DefaultSlowStartMin)),
		core.WithZone(d.Zone),
		core.WithZoneOverprovision(value(d.ZoneOverprovision, core.DefaultOverprovision)),
		core.WithPanicShare(value(d.PanicShare, core.DefaultPanicShare)),
		d.OutlierEjection.option(),
	)
	check := opts
	if d.Subset != nil { // which is taken before there are connections, and not by the core
		check = append(slices.Clip(check), core.WithSubset(d.Subset.Size, d.Subset.Client))
	}
	_, err := core.New(check...)
	return opts, errors.Join(append(errs, err)...)
}

func (e *ejection) option() core.Option {
	switch {
	case e == nil:
		return core.Options()
	case e.Off:
		return core.WithoutEjection()
	}
	return core.Options(
		core.WithEjectInterval(or(e.Interval, core.DefaultEjectInterval), value(e.MinCalls, core.DefaultEjectMinCalls), value(e.MinEndpoints, core.DefaultEjectMinEndpoints)),
		core.WithEjectAfter(value(e.ConsecutiveFailures, core.DefaultEjectConsecutive)),
		core.WithEjectFailureShare(value(e.FailureShare, core.DefaultEjectFailureShare)),
		core.WithEjectDeviation(value(e.Deviation, core.DefaultEjectDeviation)),
		core.WithEjectTime(or(e.Time, core.DefaultEjectTime), or(e.MaxTime, max(core.DefaultMaxEjectTime, or(e.Time, 0)))),
		core.WithMaxEjected(value(e.MaxShare, core.DefaultMaxEjected)),
	)
}

func or(d *duration, otherwise time.Duration) time.Duration {
	return time.Duration(value(d, duration(otherwise)))
}

func value[T any](v *T, otherwise T) T {
	if v != nil {
		return *v
	}
	return otherwise
}
