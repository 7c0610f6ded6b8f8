// SPDX-License-Identifier: Apache-2.0

package telemetrytest

type recorderConfig struct {
	maxSpans, maxLines int
	format             LogFormat
}

// RecorderOption configures a [Recorder].
type RecorderOption interface{ applyRecorder(*recorderConfig) }

type recorderOptionFunc func(*recorderConfig)

func (f recorderOptionFunc) applyRecorder(c *recorderConfig) { f(c) }

// WithMaxSpans sets how many spans are kept. The default is [DefaultMaxSpans].
// Spans past it are counted, and make the run incomplete.
func WithMaxSpans(n int) RecorderOption {
	return recorderOptionFunc(func(c *recorderConfig) { c.maxSpans = n })
}

// WithMaxLines sets how many log lines are kept. The default is
// [DefaultMaxLines]. Lines past it are counted, and make the run incomplete.
func WithMaxLines(n int) RecorderOption {
	return recorderOptionFunc(func(c *recorderConfig) { c.maxLines = n })
}

// WithLogFormat sets the keys under which log lines keep what is compared. The
// default is what [log/slog] and package record write.
func WithLogFormat(f LogFormat) RecorderOption {
	return recorderOptionFunc(func(c *recorderConfig) { c.format = f.orDefault() })
}

// LogFormat names the keys at the root of a JSON log line. An empty field is
// its default.
type LogFormat struct {
	Message  string // default "msg"
	Level    string // default "level"
	TraceID  string // default "trace_id"; 32 hex digits
	SpanID   string // default "span_id"; 16 hex digits
	Service  string // default "service.name"; the line need not have it
	Duration string // default "duration_ms"; a number of milliseconds
	Attempts string // default "attempts"; how often a client's call was tried, if more than once
	Degraded string // default "degraded"; the fallback that stood in for what failed, if one did
}

func defaultFormat() LogFormat {
	return LogFormat{
		Message: "msg", Level: "level", TraceID: "trace_id", SpanID: "span_id",
		Service: serviceNameKey, Duration: "duration_ms", Attempts: "attempts", Degraded: "degraded",
	}
}

func (f LogFormat) orDefault() LogFormat {
	d := defaultFormat()
	for _, field := range []struct{ value, fallback *string }{
		{&f.Message, &d.Message}, {&f.Level, &d.Level}, {&f.TraceID, &d.TraceID},
		{&f.SpanID, &d.SpanID}, {&f.Service, &d.Service}, {&f.Duration, &d.Duration},
		{&f.Attempts, &d.Attempts}, {&f.Degraded, &d.Degraded},
	} {
		if *field.value == "" {
			*field.value = *field.fallback
		}
	}
	return f
}
