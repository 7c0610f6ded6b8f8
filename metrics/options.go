// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/fairlead-go/fairlead/internal/semconv"
)

// Labels that have a cap, for [WithCap] and [WithKnown].
const (
	// LabelMethod holds "pkg.Service/Method".
	LabelMethod = "rpc_method"
	// LabelRoute holds route patterns.
	LabelRoute = "http_route"
	// LabelServer holds the servers that clients call, each "host:port" or, without
	// a port, "host"; of RPC and HTTP clients together.
	LabelServer = "server_address"
	// LabelErrorType holds error types other than gRPC codes and HTTP statuses,
	// which are always admitted.
	LabelErrorType = "error_type"
	// LabelSource holds the places where panics are recovered.
	LabelSource = "source"
	// LabelPolicyName holds the names of policies, which are mostly those of
	// downstream services, in the label name.
	LabelPolicyName = "policy_name"
	// LabelReason holds why policies refused a call or another attempt.
	LabelReason = "reason"
	// LabelService holds the names of services that are found, registered and balanced,
	// in the label name.
	LabelService = "service_name"
	// LabelCheck holds the names of health checks.
	LabelCheck = "check"
	// LabelRegistry holds the names of registries that are patrolled.
	LabelRegistry = "registry"
)

// Defaults.
const (
	// DefaultExemplarInterval is how long an exemplar stays before the next one of
	// the same series and bucket may replace it.
	DefaultExemplarInterval = 100 * time.Millisecond
	// DefaultSeriesCap is the cap of [WithSeriesCap].
	DefaultSeriesCap = 10_000
	// DefaultMethodCap, and the ones below it, are the caps of [WithCap].
	DefaultMethodCap     = 1000
	DefaultRouteCap      = 500
	DefaultServerCap     = 100
	DefaultErrorTypeCap  = 50
	DefaultSourceCap     = 50
	DefaultPolicyNameCap = 200
	DefaultReasonCap     = 50
	DefaultServiceCap    = 200
	DefaultCheckCap      = 100
	DefaultRegistryCap   = 10
)

// Numbers of the native histograms: buckets at most 10 % wider than their
// neighbour, at most 160 of them, and a reset of what widened them once an hour.
const (
	nativeBucketFactor = 1.1
	nativeMaxBuckets   = 160
	nativeMinReset     = time.Hour
)

// DefaultBuckets returns the upper bounds, in seconds, that OpenTelemetry advises
// for HTTP and RPC durations.
func DefaultBuckets() []float64 {
	return []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
}

// Option configures a [Set].
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

type config struct {
	buckets          []float64
	native           bool
	withoutClassic   bool
	exemplarInterval time.Duration // below zero: none
	mode             semconv.RPCMode
	methods          semconv.HTTPMethods
	middleware       bool
	seriesCap        int
	caps             map[string]int
	known            map[string][]string
}

func newConfig(opts []Option) (*config, error) {
	c := &config{
		buckets:          DefaultBuckets(),
		exemplarInterval: DefaultExemplarInterval,
		mode:             semconv.RPCModeFromEnv(),
		methods:          semconv.HTTPMethodsFromEnv(),
		seriesCap:        DefaultSeriesCap,
		caps: map[string]int{
			LabelMethod: DefaultMethodCap, LabelRoute: DefaultRouteCap, LabelServer: DefaultServerCap,
			LabelErrorType: DefaultErrorTypeCap, LabelSource: DefaultSourceCap,
			LabelPolicyName: DefaultPolicyNameCap, LabelReason: DefaultReasonCap,
			LabelService: DefaultServiceCap, LabelCheck: DefaultCheckCap, LabelRegistry: DefaultRegistryCap,
		},
		known: map[string][]string{},
	}
	labels := slices.Sorted(maps.Keys(c.caps))
	for _, o := range opts {
		o.apply(c)
	}
	if err := c.validate(labels); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *config) validate(labels []string) error {
	var errs []error
	for i, b := range c.buckets {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= c.buckets[i-1] {
			errs = append(errs, fmt.Errorf("metrics: WithBuckets: bound %d is %v: bounds must be finite and increasing", i, b))
		}
	}
	if len(c.buckets) == 0 {
		errs = append(errs, errors.New("metrics: WithBuckets: no bounds: use WithoutClassicBuckets for native histograms alone"))
	}
	if c.withoutClassic && !c.native {
		errs = append(errs, errors.New("metrics: WithoutClassicBuckets: needs WithNativeHistograms: nothing would be left"))
	}
	if c.seriesCap < 1 {
		errs = append(errs, fmt.Errorf("metrics: WithSeriesCap: %d: must be at least 1", c.seriesCap))
	}
	for _, label := range slices.Sorted(maps.Keys(c.caps)) {
		if !slices.Contains(labels, label) {
			errs = append(errs, fmt.Errorf("metrics: WithCap: label %q has no cap: must be one of %q", label, labels))
		} else if n := c.caps[label]; n < 1 {
			errs = append(errs, fmt.Errorf("metrics: WithCap: cap of %q is %d: must be at least 1", label, n))
		}
	}
	for _, label := range slices.Sorted(maps.Keys(c.known)) {
		if !slices.Contains(labels, label) {
			errs = append(errs, fmt.Errorf("metrics: WithKnown: label %q has no cap: must be one of %q", label, labels))
		}
	}
	return errors.Join(errs...)
}

// Options composes options into one, applied in order; presets are made of it.
func Options(opts ...Option) Option {
	return optionFunc(func(c *config) {
		for _, o := range opts {
			o.apply(c)
		}
	})
}

// WithBuckets sets the upper bounds of the classic buckets of all durations, in
// seconds, finite and increasing. The default is [DefaultBuckets]. Each bound
// costs one series per combination of labels.
func WithBuckets(bounds ...float64) Option {
	bounds = slices.Clone(bounds)
	return optionFunc(func(c *config) { c.buckets = bounds })
}

// WithNativeHistograms adds native histograms to the classic ones: the server
// that scrapes picks what it understands. Buckets are at most 10 % wide, and at
// most 160 per series. The default is classic buckets alone.
func WithNativeHistograms() Option {
	return optionFunc(func(c *config) { c.native = true })
}

// WithoutClassicBuckets leaves native histograms alone, which saves most of the
// series but needs a scraper that asks for the protobuf format. It requires
// [WithNativeHistograms].
func WithoutClassicBuckets() Option {
	return optionFunc(func(c *config) { c.withoutClassic = true })
}

// WithExemplarInterval sets how long an exemplar stays before the next one of the
// same series and bucket may replace it. The default is [DefaultExemplarInterval];
// at zero, every sampled observation costs an exemplar's nine allocations. Below
// zero means [WithoutExemplars].
func WithExemplarInterval(d time.Duration) Option {
	return optionFunc(func(c *config) { c.exemplarInterval = d })
}

// WithoutExemplars makes no exemplars.
func WithoutExemplars() Option { return WithExemplarInterval(-1) }

// WithSemconvOptIn overrides the environment variable
// OTEL_SEMCONV_STABILITY_OPT_IN: "rpc/dup" makes the RPC durations under their old
// names and in milliseconds too, "rpc/old" under the old names alone, and anything
// else, the default, under the new names. HTTP names are stable either way.
func WithSemconvOptIn(value string) Option {
	return optionFunc(func(c *config) { c.mode = semconv.ParseRPCMode(value) })
}

// WithKnownHTTPMethods replaces the HTTP methods that may be a label value; all
// others become [Other]. The default is what the environment variable
// OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS lists, else the ten of RFC 9110, RFC 5789
// and QUERY; no methods means those ten.
func WithKnownHTTPMethods(methods ...string) Option {
	return optionFunc(func(c *config) { c.methods = semconv.NewHTTPMethods(methods...) })
}

// WithGRPCMiddlewareNames adds the grpc_server_* and grpc_client_* metrics as
// go-grpc-middleware's Prometheus provider makes them, handling time included, for
// dashboards that exist. Unlike there, a code without a name is [Other], and so is
// a method past its cap.
func WithGRPCMiddlewareNames() Option {
	return optionFunc(func(c *config) { c.middleware = true })
}

// WithSeriesCap sets how many combinations of label values one duration metric may
// have. Past it, new combinations are counted under [Other] for every label but
// the status. The default is [DefaultSeriesCap]; a classic histogram exposes 17
// lines for each.
func WithSeriesCap(n int) Option {
	return optionFunc(func(c *config) { c.seriesCap = n })
}

// WithCap sets how many values one of the Label… constants may have. Past it, new
// values become [Other].
func WithCap(label string, n int) Option {
	return optionFunc(func(c *config) { c.caps[label] = n })
}

// WithKnown admits values of one of the Label… constants ahead of all traffic, so
// that a flood of others cannot keep them out. They count towards its cap.
func WithKnown(label string, values ...string) Option {
	values = slices.Clone(values)
	return optionFunc(func(c *config) { c.known[label] = append(c.known[label], values...) })
}
