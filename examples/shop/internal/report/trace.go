// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// ErrUnknownTrace says that nothing is known of a trace, or no longer.
var ErrUnknownTrace = errors.New("report: unknown trace")

// Source knows traces.
type Source interface {
	// Trace returns what is known of a trace so far; it fails with
	// [ErrUnknownTrace] if that is nothing.
	Trace(ctx context.Context, id string) (*Trace, error)
}

// Trace is one request on its way through the shop.
type Trace struct {
	ID    string `json:"id"`
	Spans []Span `json:"spans"`
	// Lines are the log lines that name the trace, as they were written.
	Lines []json.RawMessage `json:"lines"`
	// Dropped counts the spans and lines that there was no room for.
	Dropped int `json:"dropped,omitempty"`
}

// Span is one step of a trace.
type Span struct {
	ID       string        `json:"id"`
	ParentID string        `json:"parent_id,omitempty"`
	Service  string        `json:"service"`
	Name     string        `json:"name"`
	Kind     string        `json:"kind"`
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration_ns"`
	Failed   bool          `json:"failed,omitempty"`
	Message  string        `json:"message,omitempty"`
	Events   []Event       `json:"events,omitempty"`
}

// Event is something that happened during a span, such as a retry.
type Event struct {
	At   time.Time `json:"at"`
	Name string    `json:"name"`
	// Text is its attributes, fit to be shown.
	Text string `json:"text,omitempty"`
}

// Merge returns a source that knows what any of the sources knows. A source
// that cannot answer is an error only if no other one can.
func Merge(sources ...Source) Source { return merged(sources) }

type merged []Source

func (m merged) Trace(ctx context.Context, id string) (*Trace, error) {
	whole := &Trace{ID: id}
	var errs []error
	for _, s := range m {
		part, err := s.Trace(ctx, id)
		if err != nil {
			if !errors.Is(err, ErrUnknownTrace) {
				errs = append(errs, err)
			}
			continue
		}
		whole.Spans = append(whole.Spans, part.Spans...)
		whole.Lines = append(whole.Lines, part.Lines...)
		whole.Dropped += part.Dropped
	}
	if len(whole.Spans)+len(whole.Lines) == 0 {
		return nil, errors.Join(append(errs, ErrUnknownTrace)...)
	}
	whole.sort()
	return whole, nil
}

// sort orders spans by their start and lines by their time.
func (t *Trace) sort() {
	slices.SortStableFunc(t.Spans, func(a, b Span) int { return a.Start.Compare(b.Start) })
	slices.SortStableFunc(t.Lines, func(a, b json.RawMessage) int {
		return parseLine(a).Time.Compare(parseLine(b).Time)
	})
}
