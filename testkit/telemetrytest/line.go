// SPDX-License-Identifier: Apache-2.0

package telemetrytest

import (
	"encoding/json"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// Line is one log line of a run. It is only to be read.
type Line struct {
	// Raw is the line as it was written, without its line feed.
	Raw string
	// Service is what the line itself says, or else the service of its sink.
	Service string
	// Message and Level are the line's; empty if it has none.
	Message, Level string
	// TraceID and SpanID are what stands at the line's root; empty if nothing does.
	TraceID, SpanID string

	run     *Run
	fields  []field
	invalid error // why the line is not a JSON object
	cut     bool
	origin  origin
}

func newLine(r *Run, raw rawLine) *Line {
	l := &Line{Raw: raw.text, Service: raw.service, run: r, cut: raw.cut, origin: raw.origin}
	if l.fields, l.invalid = parseObject(raw.text); l.invalid != nil {
		return l
	}
	f := &r.format
	if s := l.text(f.Service); s != "" {
		l.Service = s
	}
	l.Message, l.Level = l.text(f.Message), l.text(f.Level)
	l.TraceID, l.SpanID = l.text(f.TraceID), l.text(f.SpanID)
	return l
}

// Attr returns the value at the root of the line under key, as
// [json.Unmarshal] decodes it, and whether it is there. Of a doubled key it is
// the first.
func (l *Line) Attr(key string) (any, bool) {
	for _, f := range l.fields {
		if f.key == key {
			var v any
			err := json.Unmarshal([]byte(f.value), &v)
			return v, err == nil
		}
	}
	return nil, false
}

// Span returns the span that the line names, or nil if the run does not have it.
func (l *Line) Span() *Span {
	tid, err := trace.TraceIDFromHex(l.TraceID)
	if err != nil {
		return nil
	}
	sid, err := trace.SpanIDFromHex(l.SpanID)
	if err != nil {
		return nil
	}
	return l.run.byID[spanKey{tid, sid}]
}

// String returns the line as it was written, cut to a length fit for a failure
// message.
func (l *Line) String() string { return excerpt(l.Raw) }

// text returns a value at the root as text: strings without quotes, others as
// they are written, and "" for none.
func (l *Line) text(key string) string {
	for i := range l.fields {
		if l.fields[i].key == key {
			return unquote(l.fields[i].value)
		}
	}
	return ""
}

// maxExcerpt is how many bytes of a line a failure message shows.
const maxExcerpt = 400

// excerpt returns s cut and safe to print.
func excerpt(s string) string {
	if len(s) > maxExcerpt {
		s = s[:maxExcerpt] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '�'
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}
