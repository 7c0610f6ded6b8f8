// SPDX-License-Identifier: Apache-2.0

package telemetry_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/fairlead-go/fairlead/telemetry"
)

func TestBadValuesAreNamed(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		env  []string
		want string // after "telemetry: "
	}{
		"disabled":            {[]string{"OTEL_SDK_DISABLED=yes"}, `OTEL_SDK_DISABLED is "yes", must be true or false`},
		"log level":           {[]string{"OTEL_LOG_LEVEL=loud"}, `OTEL_LOG_LEVEL is "loud", must be one of none, error`},
		"propagator":          {[]string{"OTEL_PROPAGATORS=tracecontext,b4"}, `OTEL_PROPAGATORS is "tracecontext,b4", must be a list of`},
		"propagator and none": {[]string{"OTEL_PROPAGATORS=b3,none"}, `OTEL_PROPAGATORS is "b3,none", must not have none beside others`},
		"sampler":             {[]string{"OTEL_TRACES_SAMPLER=sometimes"}, `OTEL_TRACES_SAMPLER is "sometimes", must be one of always_on`},
		"sampler elsewhere":   {[]string{"OTEL_TRACES_SAMPLER=jaeger_remote"}, `OTEL_TRACES_SAMPLER is "jaeger_remote", must be one of`},
		"ratio too big":       {[]string{"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=1.5"}, `OTEL_TRACES_SAMPLER_ARG is "1.5", must be a number between 0 and 1`},
		"ratio no number":     {[]string{"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=10%"}, `OTEL_TRACES_SAMPLER_ARG is "10%", must be a number`},
		"ratio NaN":           {[]string{"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=NaN"}, `OTEL_TRACES_SAMPLER_ARG is "NaN"`},
		"traces exporter":     {[]string{"OTEL_TRACES_EXPORTER=zipkin"}, `OTEL_TRACES_EXPORTER is "zipkin", of which "zipkin" must be one of otlp, console, none`},
		"metrics exporter":    {[]string{"OTEL_METRICS_EXPORTER=otlp,statsd"}, `OTEL_METRICS_EXPORTER is "otlp,statsd", of which "statsd" must be one of otlp, console, prometheus, none`},
		"logs exporter":       {[]string{"OTEL_LOGS_EXPORTER=prometheus"}, `OTEL_LOGS_EXPORTER is "prometheus", of which`},
		"empty list member":   {[]string{"OTEL_LOGS_EXPORTER=otlp,"}, `OTEL_LOGS_EXPORTER is "otlp,", of which ""`},
		"none and others":     {[]string{"OTEL_TRACES_EXPORTER=none,otlp"}, `OTEL_TRACES_EXPORTER is "none,otlp", must not have none beside others`},
		"protocol":            {[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json"}, `OTEL_EXPORTER_OTLP_PROTOCOL is "http/json", must be one of http/protobuf, grpc`},
		"signal protocol":     {[]string{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=udp"}, `OTEL_EXPORTER_OTLP_LOGS_PROTOCOL is "udp"`},
		"endpoint, no scheme": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:4318"}, `OTEL_EXPORTER_OTLP_ENDPOINT is "127.0.0.1:4318", must have a scheme, as in http://127.0.0.1:4318`},
		"endpoint, HTTP host": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318"}, `OTEL_EXPORTER_OTLP_ENDPOINT is "collector:4318", must be a URL with http or https`},
		"endpoint of signal":  {[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=ftp://x"}, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is "ftp://x", must be a URL with http or https`},
		"insecure":            {[]string{"OTEL_EXPORTER_OTLP_INSECURE=1"}, `OTEL_EXPORTER_OTLP_INSECURE is "1", must be true or false`},
		"headers":             {[]string{"OTEL_EXPORTER_OTLP_HEADERS=s3cret"}, `OTEL_EXPORTER_OTLP_HEADERS is "***", must be a list of key=value`},
		"header name":         {[]string{"OTEL_EXPORTER_OTLP_HEADERS=a b=s3cret"}, `OTEL_EXPORTER_OTLP_HEADERS is "a b=***", has "a b" for a key`},
		"header encoding":     {[]string{"OTEL_EXPORTER_OTLP_LOGS_HEADERS=a=s3cret%zz"}, `OTEL_EXPORTER_OTLP_LOGS_HEADERS is "a=***", has a broken percent-encoding in the value of a`},
		"compression":         {[]string{"OTEL_EXPORTER_OTLP_COMPRESSION=GZIP"}, `OTEL_EXPORTER_OTLP_COMPRESSION is "GZIP", must be one of gzip, none`},
		"timeout":             {[]string{"OTEL_EXPORTER_OTLP_TIMEOUT=10s"}, `OTEL_EXPORTER_OTLP_TIMEOUT is "10s", must be a whole number of milliseconds`},
		"certificate missing": {[]string{"OTEL_EXPORTER_OTLP_CERTIFICATE=/none/such"}, `OTEL_EXPORTER_OTLP_CERTIFICATE is "/none/such", cannot be read`},
		"certificate junk":    {[]string{"OTEL_EXPORTER_OTLP_CERTIFICATE=" + junk}, `must be a file with PEM certificates`},
		"client key alone":    {[]string{"OTEL_EXPORTER_OTLP_CLIENT_KEY=" + junk}, `must have OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE with it`},
		"client cert alone":   {[]string{"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE=" + junk}, `must have OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY with it`},
		"client cert junk":    {[]string{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=" + junk, "OTEL_EXPORTER_OTLP_CLIENT_KEY=" + junk}, `cannot be loaded`},
		"resource":            {[]string{"OTEL_RESOURCE_ATTRIBUTES=a=1,b"}, `OTEL_RESOURCE_ATTRIBUTES is "a=1,b", must be a list of key=value`},
		"queue size":          {[]string{"OTEL_BSP_MAX_QUEUE_SIZE=0"}, `OTEL_BSP_MAX_QUEUE_SIZE is "0", must be a whole number from 1 to`},
		"queue size, huge":    {[]string{"OTEL_BLRP_MAX_QUEUE_SIZE=999999999"}, `OTEL_BLRP_MAX_QUEUE_SIZE is "999999999", must be`},
		"batch size":          {[]string{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=-1"}, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE is "-1"`},
		"delay":               {[]string{"OTEL_BLRP_SCHEDULE_DELAY=soon"}, `OTEL_BLRP_SCHEDULE_DELAY is "soon", must be a whole number of milliseconds, 1 or more`},
		"export timeout":      {[]string{"OTEL_BSP_EXPORT_TIMEOUT=0"}, `OTEL_BSP_EXPORT_TIMEOUT is "0"`},
		"interval":            {[]string{"OTEL_METRIC_EXPORT_INTERVAL=99999999999999999"}, `OTEL_METRIC_EXPORT_INTERVAL is`},
		"temporality":         {[]string{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=none"}, `must be one of cumulative, delta, lowmemory`},
		"limit":               {[]string{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=many"}, `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT is "many", must be a whole number`},
		"prometheus port":     {[]string{"OTEL_METRICS_EXPORTER=prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT=70000"}, `OTEL_EXPORTER_PROMETHEUS_PORT is "70000"`},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, tc.env...)
			tel, err := telemetry.FromEnv(t.Context())
			if err == nil {
				_ = tel.Shutdown(t.Context())
				t.Fatalf("no error, want one that says %s", tc.want)
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "telemetry: ") {
				t.Errorf("error %q\nshould start with \"telemetry: \" and say %s", err, tc.want)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %q has the secret in it", err)
			}
		})
	}
}

func TestAllBadValuesAreNamedAtOnce(t *testing.T) {
	setenv(t, "OTEL_PROPAGATORS=x", "OTEL_TRACES_SAMPLER=y", "OTEL_BSP_SCHEDULE_DELAY=z")
	_, err := telemetry.FromEnv(t.Context())
	for _, name := range []string{"OTEL_PROPAGATORS", "OTEL_TRACES_SAMPLER", "OTEL_BSP_SCHEDULE_DELAY"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
}

func TestSamplerOfTheEnvironment(t *testing.T) {
	for name, tc := range map[string]struct {
		env               []string
		opts              []telemetry.Option
		root, child, left bool // a new trace; below a sampled and an unsampled remote parent
	}{
		"default":               {nil, nil, true, true, false},
		"always_on":             {[]string{"OTEL_TRACES_SAMPLER=always_on"}, nil, true, true, true},
		"upper case":            {[]string{"OTEL_TRACES_SAMPLER=ALWAYS_ON"}, nil, true, true, true},
		"always_off":            {[]string{"OTEL_TRACES_SAMPLER=always_off"}, nil, false, false, false},
		"parentbased on":        {[]string{"OTEL_TRACES_SAMPLER=parentbased_always_on"}, nil, true, true, false},
		"parentbased off":       {[]string{"OTEL_TRACES_SAMPLER=parentbased_always_off"}, nil, false, true, false},
		"ratio 0":               {[]string{"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0"}, nil, false, false, false},
		"ratio without arg":     {[]string{"OTEL_TRACES_SAMPLER=traceidratio"}, nil, true, true, true},
		"parentbased ratio 0":   {[]string{"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.0"}, nil, false, true, false},
		"option":                {nil, []telemetry.Option{telemetry.WithSampler(sdktrace.NeverSample())}, false, false, false},
		"environment wins":      {[]string{"OTEL_TRACES_SAMPLER=always_on"}, []telemetry.Option{telemetry.WithSampler(sdktrace.NeverSample())}, true, true, true},
		"empty is like not set": {[]string{"OTEL_TRACES_SAMPLER="}, []telemetry.Option{telemetry.WithSampler(sdktrace.NeverSample())}, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, tc.env...)
			tel := start(t, append(tc.opts, telemetry.WithDefaultExporter("none"))...)
			tracer := tel.TracerProvider().Tracer("test")
			for what, check := range map[string]struct {
				parent string
				want   bool
			}{"root": {"", tc.root}, "sampled parent": {"01", tc.child}, "unsampled parent": {"00", tc.left}} {
				_, span := tracer.Start(withTraceparent(t, check.parent), "span")
				if got := span.SpanContext().IsSampled(); got != check.want {
					t.Errorf("%s: sampled = %v, want %v", what, got, check.want)
				}
				span.End()
			}
		})
	}
}

func TestRatioOfTheEnvironment(t *testing.T) {
	setenv(t, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.25")
	tracer := start(t, telemetry.WithDefaultExporter("none")).TracerProvider().Tracer("test")
	n := 0
	for range 4000 {
		_, span := tracer.Start(t.Context(), "span")
		if span.SpanContext().IsSampled() {
			n++
		}
		span.End()
	}
	if n < 800 || n > 1200 { // seven standard deviations
		t.Errorf("%d of 4000 traces sampled, want about 1000", n)
	}
}

func TestSettingsSayWhatAndWhence(t *testing.T) {
	setenv(t,
		"OTEL_SERVICE_NAME=order",
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://user:s3cret@collector:4317?token=s3cret",
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20s3cret, x-tenant=s3cret",
		"OTEL_TRACES_SAMPLER=traceidratio",
		"OTEL_TRACES_SAMPLER_ARG= 0.5 ",
		"OTEL_METRICS_EXPORTER=none",
	)
	tel := start(t,
		telemetry.WithServiceName("not this"), telemetry.WithDefaultExporter("console"),
		telemetry.WithSampler(sdktrace.NeverSample()))
	want := telemetry.Settings{
		{Name: "OTEL_SERVICE_NAME", Value: "order", Source: telemetry.SourceEnvironment},
		{Name: "OTEL_TRACES_SAMPLER", Value: "traceidratio", Source: telemetry.SourceEnvironment},
		{Name: "OTEL_TRACES_SAMPLER_ARG", Value: "0.5", Source: telemetry.SourceEnvironment},
		{Name: "OTEL_TRACES_EXPORTER", Value: "console", Source: telemetry.SourceOption},
		{Name: "OTEL_METRICS_EXPORTER", Value: "none", Source: telemetry.SourceEnvironment},
		{Name: "OTEL_LOGS_EXPORTER", Value: "console", Source: telemetry.SourceOption},
		{Name: "OTEL_EXPORTER_OTLP_PROTOCOL", Value: "grpc", Source: telemetry.SourceEnvironment},
		{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "https://***@collector:4317?***", Source: telemetry.SourceEnvironment},
		{Name: "OTEL_EXPORTER_OTLP_HEADERS", Value: "authorization=***,x-tenant=***", Source: telemetry.SourceEnvironment},
	}
	if diff := cmp.Diff(want, tel.Settings().Changed()); diff != "" {
		t.Errorf("Settings().Changed() (-want +got):\n%s", diff)
	}
	if s := tel.Settings().String(); strings.Contains(s, "s3cret") {
		t.Errorf("the settings show a secret:\n%s", s)
	}
	for name, value := range map[string]string{
		"OTEL_PROPAGATORS": "tracecontext,baggage", "OTEL_BSP_MAX_QUEUE_SIZE": "2048",
		"OTEL_EXPORTER_OTLP_TIMEOUT": "10000", "OTEL_NONE_SUCH": "",
	} {
		if got := tel.Settings().Get(name); got != value {
			t.Errorf("Get(%s) = %q, want %q", name, got, value)
		}
	}
}

func TestEndpointInEffect(t *testing.T) {
	const (
		tracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
		logsEndpoint   = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
	)
	for name, tc := range map[string]struct {
		env          []string
		traces, logs string
	}{
		"HTTP default":        {nil, "http://localhost:4318/v1/traces", "http://localhost:4318/v1/logs"},
		"gRPC default":        {[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, "http://localhost:4317", "http://localhost:4317"},
		"gRPC default, TLS":   {[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=GRPC", "OTEL_EXPORTER_OTLP_INSECURE=false"}, "https://localhost:4317", "https://localhost:4317"},
		"HTTP base":           {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://c/base/"}, "https://c/base/v1/traces", "https://c/base/v1/logs"},
		"HTTP own as it is":   {[]string{tracesEndpoint + "=http://c/x", logsEndpoint + "=http://c"}, "http://c/x", "http://c/"},
		"scheme over flag":    {[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:1", "OTEL_EXPORTER_OTLP_INSECURE=false"}, "http://c:1", "http://c:1"},
		"gRPC without scheme": {[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=c:1"}, "https://c:1", "https://c:1"},
		"gRPC, insecure":      {[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=c:1", "OTEL_EXPORTER_OTLP_LOGS_INSECURE=true"}, "https://c:1", "http://c:1"},
		"gRPC target":         {[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=unix:///run/otel.sock"}, "", ""},
		"mixed protocols":     {[]string{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=grpc"}, "http://localhost:4318/v1/traces", "http://localhost:4317"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, append(slices.Clone(tc.env), "OTEL_METRICS_EXPORTER=none")...)
			s := start(t).Settings()
			if s.Get(tracesEndpoint) != tc.traces || s.Get(logsEndpoint) != tc.logs {
				t.Errorf("endpoints %q and %q, want %q and %q", s.Get(tracesEndpoint), s.Get(logsEndpoint), tc.traces, tc.logs)
			}
		})
	}
}
